"""`memory-mcp install` and `uninstall`: look, show, ask, write."""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from memory_mcp.cli.install import entry, files, links, purge
from memory_mcp.cli.install.hosts import HOSTS, Host, Machine
from memory_mcp.cli.install.jobs import Job, chosen_hosts, every_rules_job, found_files, hook_job, rules_jobs, server_jobs
from memory_mcp.cli.install.plans import Change, to_install, to_uninstall
from memory_mcp.cli.install.rules import project_root
from memory_mcp.cli.install.show import change_lines
from memory_mcp.cli.install.slots import UNREADABLE, server_slot
from memory_mcp.cli.printed import say
from memory_mcp.clock import utc_now
from memory_mcp.errors import RequestError
from memory_mcp.namespaces import home_folder
from memory_mcp.remember import door

_WINDOWS = sys.platform == "win32"

_Decide = Callable[[str | None, Sequence[str]], Change]
"""From a file's text and the copies of it, newest first."""
_Outcome = Literal["well", "absent", "failed"]

Clients = Annotated[
    list[str] | None, typer.Option("--client", help=f"Only this client; repeatable: {', '.join(host.key for host in HOSTS)}.")
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept (default: ~/.memory-mcp).")]
Name = Annotated[str, typer.Option("--name", help="What the server is called in the clients.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]


def install(
    client: Clients = None,
    data_dir: DataDir = None,
    namespace: Annotated[str, typer.Option("--namespace", help="The project to work in, for clients that work in none.")] = "",
    name: Name = entry.NAME,
    rules: Annotated[
        bool, typer.Option("--rules", help="Also tell the models of this project to use it (CLAUDE.md, AGENTS.md ...).")
    ] = False,
    hooks: Annotated[bool, typer.Option("--hooks", help="Also tell Claude Code at every start what is remembered.")] = False,
    printed: Annotated[bool, typer.Option("--print", help="For any other client: print what to paste, to click or to run.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Set up the clients on this machine: Claude Desktop, Claude Code, Cursor, VS Code, Codex, Windsurf."""
    hosts, start = chosen_hosts(client or []), entry.launch(data_dir, door.namespace(namespace) if namespace else "")
    if printed:
        _print(name, start)
        return
    if not entry.starts_anywhere(sys.executable):
        raise RequestError(
            f'{sys.executable} finds memory-mcp only from here. Install it: {sys.executable} -m pip install "memory-mcp[local]"'
        )
    asked = _Asked(yes=yes, dry_run=dry_run)
    machine, console = this_machine(), Console(soft_wrap=True)
    found = [host for host in hosts if found_files(host, machine)]
    _refuse_absent(hosts, found, named=bool(client))
    jobs = list(server_jobs(found, machine, start, name))
    if hooks:
        jobs.append(_hook(found, machine, start))
    if rules:
        jobs += rules_jobs(found, _project())
    if entry.temporary_place(Path(start.command), Path(tempfile.gettempdir())):
        console.print(
            Text(
                f"{start.command} lies in a temporary place and will be gone some day. Better: uv tool install 'memory-mcp[local]'.",
                "yellow",
            )
        )
    outcomes = [_carry_out(job, _installing(job), asked, console) for job in jobs]
    _end(outcomes, asked, console)


def uninstall(
    client: Clients = None,
    data_dir: DataDir = None,
    name: Name = entry.NAME,
    remove_memories: Annotated[bool, typer.Option("--purge", help="Also delete the data directory, with every memory.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Take the server out of all clients again, its hook and this project's rules too; the memories stay."""
    hosts, asked = chosen_hosts(client or []), _Asked(yes=yes, dry_run=dry_run)
    machine, console = this_machine(), Console(soft_wrap=True)
    start = entry.launch(None, "")
    jobs = list(server_jobs(hosts, machine, start, name))
    if any(host.key == "claude-code" for host in hosts):
        jobs.append(hook_job(machine, start, _WINDOWS))
    root = project_root(_working_directory(), Path(machine.home))
    if root is not None and not client:
        jobs += every_rules_job(root)
    outcomes = [_carry_out(job, _uninstalling(job), asked, console, taking=True) for job in jobs]
    if set(outcomes) <= {"absent"}:
        console.print(f"memory-mcp is not set up in {', '.join(client)}." if client else "memory-mcp is set up in no client.")
    if remove_memories:
        _purge(data_dir, asked, console)
    _end(outcomes, asked, console)


def client_states() -> list[dict[str, Any]]:
    """Every client's file on this machine, and whether this server is in it: `set up`, `not set up`, `another server`, `unreadable`."""
    machine, states = this_machine(), []
    for host in HOSTS:
        for file in found_files(host, machine):
            try:
                found = server_slot(host, entry.NAME).find(files.read(file).text or "")
                state = "not set up" if found is None else "set up" if entry.is_ours(found) else "another server"
            except (files.FileLeftAloneError, *UNREADABLE):
                state = "unreadable"
            states.append({"client": host.key, "title": host.title, "path": str(file), "state": state})
    return states


def this_machine() -> Machine:
    """Where this process runs, and for whom."""
    return Machine(sys.platform, os.environ, home_folder())


class _Asked:
    """Whether something may be done: `--yes`, or a yes on the terminal.

    Raises:
        RequestError: There is nobody to ask.
    """

    def __init__(self, *, yes: bool, dry_run: bool) -> None:
        self.dry_run, self._yes = dry_run, yes
        if not (yes or dry_run or sys.stdin.isatty()):
            raise RequestError("There is no terminal to ask on. Say --yes to go ahead, or --dry-run to see what would change.")

    def may(self, question: str) -> bool:
        return not self.dry_run and (self._yes or typer.confirm(question, default=True))

    def says_yes(self, question: str) -> bool:
        """For what cannot be undone: the whole word."""
        return not self.dry_run and (self._yes or typer.prompt(question, default="no").strip().lower() == "yes")


def _installing(job: Job) -> _Decide:
    return lambda text, _: to_install(job.slot, text, job.wanted, job.ours)


def _uninstalling(job: Job) -> _Decide:
    return lambda text, copies: to_uninstall(job.slot, text, copies, job.ours)


def _carry_out(job: Job, decide: _Decide, asked: _Asked, console: Console, *, taking: bool = False) -> _Outcome:
    """Decide, show, ask and write for one file."""
    try:
        snapshot = files.read(job.path)
        copies = files.backups(job.path) if job.copied and snapshot.text is not None else []
        change = decide(snapshot.text, files.texts(copies))
        if not change.writes:
            return _told(job, change, console, taking=taking)
        _line(console, job.title, f"{job.path}  {job.slot.where}", "bold")
        console.print(change_lines(change), end="")
        if not asked.may("Take it out?" if taking else "Set this up?"):
            if not asked.dry_run:
                _line(console, "", "Left as it is.")
            return "well"
        kept = files.replace(snapshot, change.text, keep=utc_now() if job.copied and not change.restores else None, private=job.copied)
    except files.FileLeftAloneError as error:
        _line(console, job.title, str(error), "red")
        return "failed"
    if taking:
        for copy in copies:
            copy.unlink(missing_ok=True)
        _remove_empty(job.path)
    _line(console, "", f"{'Taken out' if taking else 'Done'}.{f' What was there before: {kept}' if kept else ''}")
    if job.next_step and not taking:
        _line(console, "", job.next_step)
    return "well"


def _end(outcomes: Sequence[_Outcome], asked: _Asked, console: Console) -> None:
    if asked.dry_run:
        console.print("Nothing was changed: this was a dry run.")
    if "failed" in outcomes:
        raise typer.Exit(1)


def _told(job: Job, change: Change, console: Console, *, taking: bool) -> _Outcome:
    """Say why there is nothing to write."""
    match change.kind:
        case "absent":
            return "absent"
        case "unreadable":
            remedy = "It was left alone: mend it there, or add by hand what --print says."
            _line(console, job.title, f"{job.path} cannot be changed safely: {change.reason}. {remedy}", "red")
            return "failed"
        case "foreign":
            remedy = "It was left alone." if taking else "It was left alone: choose another name with --name."
            _line(console, job.title, f"{job.path} names another server {job.slot.where}. {remedy}", "yellow" if taking else "red")
            return "well" if taking else "failed"
    _line(console, job.title, f"already set up ({job.path})", "green")
    return "well"


def _line(console: Console, title: str, text: str, style: str = "") -> None:
    console.print(Text(f"{title}: " if title else "    ", "bold" if title else "") + Text(text, style), highlight=False)


def _remove_empty(file: Path) -> None:
    """Folders that were made for Cursor's rules, as far as nothing else is in them."""
    if file.suffix == ".mdc" and not file.exists():
        with suppress(OSError):
            file.parent.rmdir()
            file.parent.parent.rmdir()


def _refuse_absent(hosts: Sequence[Host], found: Sequence[Host], *, named: bool) -> None:
    absent = [host.title for host in hosts if host not in found]
    if named and absent:
        raise RequestError(f"{', '.join(absent)} was not found on this machine. Start it once, or see --print for what to write where.")
    if not found:
        raise RequestError("No client was found on this machine. See --print for what to write where.")


def _hook(found: Sequence[Host], machine: Machine, start: entry.Launch) -> Job:
    if not any(host.key == "claude-code" for host in found):
        raise RequestError("--hooks are for Claude Code, which was not found on this machine or not named.")
    return hook_job(machine, start, _WINDOWS)


def _project() -> Path:
    root = project_root(_working_directory(), home_folder())
    if root is None:
        raise RequestError("--rules are written into a project. Change into its folder first.")
    return root


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def _purge(data_dir: Path | None, asked: _Asked, console: Console) -> None:
    folder = purge.data_folder(data_dir)
    if not folder.exists():
        _line(console, "Memories", f"there is no data directory {folder}")
        return
    purge.refuse_foreign(folder)
    _line(console, "Memories", f"{folder} will be deleted with everything in it. This cannot be undone.", "bold red")
    if not asked.says_yes("Type yes to delete all memories"):
        if not asked.dry_run:
            _line(console, "", "The memories stay.")
        return
    purge.purge(folder)
    _line(console, "", "Deleted.")


def _print(name: str, start: entry.Launch) -> None:
    desktop, vscode = (next(host for host in HOSTS if host.key == key) for key in ("claude-desktop", "vscode"))
    plain, typed = entry.entry_for(desktop, start), entry.entry_for(vscode, start)
    say(
        f"For the file in which a client names its MCP servers:\n\n{links.pasted(name, plain)}\n\n"
        f"Cursor, as a link:\n\n{links.cursor_link(name, plain)}\n\n"
        f"VS Code, as a link:\n\n{links.vscode_link(name, typed)}\n\n"
        f"Claude Code, as a command:\n\n{links.claude_command(name, [start.command, *plain.get('args', [])])}"
    )
