"""The clinician page: fixed files of this package, served with headers that shut everything else.

Covered: script, style or requests of another origin, text that would become markup (Trusted
Types), framing by another page, a form that sends the key before the script runs, the powers of
the browser that a chat does not need, copies in caches.
Not covered: extensions of the browser, and TLS, which ends in front of the gateway.

Sources: Content Security Policy Level 3, Trusted Types, Permissions Policy (W3C).

Tested in tests/inference/gateway/page/test_page.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

FILES = {
    "/": ("index.html", "text/html"),
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    "/page/api.js": ("api.js", "text/javascript"),
    "/page/texts.js": ("texts.js", "text/javascript"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path -> file and media type; a client's path is looked up here, never in a file system."""

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}

CLOSED = (
    *("camera", "display-capture", "geolocation", "hid", "microphone", "midi", "payment"),
    *("screen-wake-lock", "serial", "usb"),
)
"""Powers of the browser that nobody on this page may use."""

HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "Permissions-Policy": ", ".join(f"{power}=()" for power in CLOSED),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def pages(described: Mapping[str, dict[str, Any]]) -> APIRouter:
    """The routes of the page; its files are read now, so that none can be missing later.

    `described`: by path, what the OpenAPI document says.

    Raises:
        OSError: the package was installed without them.
    """
    router = APIRouter(redirect_slashes=False)
    folder = resources.files(__package__)

    def serving(path: str, content: bytes, media_type: str) -> None:
        @router.get(path, **described[path])
        async def file() -> Response:
            return Response(content, headers=HEADERS, media_type=media_type)

    for path, (name, media_type) in FILES.items():
        serving(path, (folder / name).read_bytes(), media_type)
    return router
