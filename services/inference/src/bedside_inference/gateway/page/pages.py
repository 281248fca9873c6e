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

from bedside_inference.config import PageConfig

SETTINGS = "/page/settings.json"
FILES = {
    "/": ("index.html", "text/html"),
    "/page/page.css": ("page.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
    **{
        f"/page/{name}.js": (f"{name}.js", "text/javascript")
        for name in (
            *("answers", "api", "clipboard", "dom", "languages", "markdown", "memory", "texts"),
        )
    },
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
    SETTINGS: ("settings.json", "application/json"),
}
"""Path -> file and media type; a client's path is looked up here, never in a file system. The
settings are no file of the package but what the house has set; like the files they are there for
everybody."""

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


def pages(settings: PageConfig, described: Mapping[str, dict[str, Any]]) -> APIRouter:
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

    told = settings.model_dump_json(exclude_none=True).encode()
    for path, (name, media_type) in FILES.items():
        serving(path, told if path == SETTINGS else (folder / name).read_bytes(), media_type)
    return router
