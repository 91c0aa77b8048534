"""The section of the configuration that says how long the log is kept."""

from pydantic import BaseModel, ConfigDict, Field, field_validator


class AuditSettings(BaseModel):
    """The log of every change and every refused call, see `memory-mcp audit`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep_days: float = Field(
        default=365.0, ge=0, le=36_500, description="entries are kept for so long, and those that undo needs for longer; 0: for ever"
    )

    @field_validator("keep_days")
    @classmethod
    def _a_day_at_least(cls, days: float) -> float:
        if 0 < days < 1:
            raise ValueError("entries are kept for a day at least, or with 0 for ever")
        return days
