"""What an OAuth client reads to learn where its tokens come from (RFC 9728)."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

PATH = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True, slots=True)
class Metadata:
    """The document of one resource.

    Attributes:
        public_url: How clients reach this server; empty: as the one who asks does, whose `Host` was looked at.
        path: Of the resource.
        issuer: Of the tokens.
    """

    public_url: str
    path: str
    issuer: str

    def base(self, scope: Scope) -> str:
        """Scheme and host."""
        return self.public_url.rstrip("/") or f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}"

    def url(self, scope: Scope) -> str:
        """Where the document is."""
        return f"{self.base(scope)}{PATH}{self.path}"

    async def answer(self, request: Request) -> Response:
        """The document."""
        return JSONResponse(
            {
                "resource": f"{self.base(request.scope)}{self.path}",
                "resource_name": "memory",
                "authorization_servers": [self.issuer],
                "bearer_methods_supported": ["header"],
            },
            headers={"cache-control": "max-age=300"},
        )
