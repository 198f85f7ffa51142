"""The official SDK's own description of every route: its host, what it takes, whether an answer fits it."""

from __future__ import annotations

from typing import Any

from dropbox import auth, check, common, files, sharing, users
from stone.backends.python_rsrc import stone_serializers
from stone.backends.python_rsrc.stone_validators import ValidationError

from tests.vendors.dropbox_model import Json

_SPACES = {"auth": auth, "check": check, "files": files, "sharing": sharing, "users": users}
_COMMON = {
    401: auth.AuthError_validator,
    403: auth.AccessError_validator,
    422: common.PathRootError_validator,
    429: auth.RateLimitError_validator,
}


class Misfit(Exception):
    """A value that the SDK's validators refuse; the message is theirs."""


def _all() -> dict[str, Any]:
    found = {}
    for name, space in _SPACES.items():
        for route in space.ROUTES.values():
            version = f"_v{route.version}" if route.version > 1 else ""
            found[f"{name}/{route.name}{version}"] = route
    return found


_ROUTES = _all()


def host(route: str) -> str:
    """ "api", "content" or "notify"."""
    return str(_ROUTES[route].attrs["host"])


def style(route: str) -> str:
    """ "rpc", "upload" or "download"."""
    return str(_ROUTES[route].attrs["style"])


def auth_types(route: str) -> list[str]:
    """Who may call: "user", "app", "noauth"."""
    return str(_ROUTES[route].attrs["auth"]).replace(" ", "").split(",")


def parse(route: str, value: Any) -> Any:
    """The argument of a route, as the SDK's own type with its defaults. Raises Misfit."""
    return _decode(_ROUTES[route].arg_type, value)


def parse_root(value: Any) -> Any:
    """The header Dropbox-API-Path-Root."""
    return _decode(common.PathRoot_validator, value)


def check_answer(route: str, status: int, answer: Any) -> None:
    """Raise Misfit unless an answer is exactly what the SDK knows: no field missing, none too many."""
    described = _ROUTES[route]
    if status == 200:
        _decode(described.result_type, answer)
    elif status == 409:
        _decode(described.error_type, answer["error"])
    elif status in _COMMON:
        _decode(_COMMON[status], answer["error"])
    elif not isinstance(answer, str):
        raise Misfit(f"{status} comes as text")
    if status != 200 and isinstance(answer, dict):
        _check_envelope(answer)


def _check_envelope(answer: Json) -> None:
    if set(answer) != {"error", "error_summary"} or not isinstance(answer["error_summary"], str):
        raise Misfit(f"an error has other fields than {sorted(answer)}")


def _decode(described: Any, value: Any) -> Any:
    try:
        return stone_serializers.json_compat_obj_decode(  # type: ignore[no-untyped-call]
            described, value, strict=True
        )
    except ValidationError as error:
        raise Misfit(str(error)) from None
