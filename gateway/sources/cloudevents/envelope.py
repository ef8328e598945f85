"""Envelopes: the three forms in which HTTP brings CloudEvents, as the HTTP protocol binding 1.0 has them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from gateway.errors import PayloadError
from gateway.rules.mapping import CloudEvent
from gateway.sources.payload import Instant, Name, complaints_of
from gateway.sources.reading import in_utc

PREFIX = "ce-"
"""Begins the names of the headers that are attributes."""

_JSON = re.compile(r"(?:application|text)/(?:[\w.!#$&^-]+\+)?json", re.IGNORECASE)
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

Filled = Annotated[Name, Field(min_length=1)]


class CloudEventPayload(BaseModel):
    """A CloudEvent in its JSON form. Attributes that are not of the standard are its extensions."""

    model_config = ConfigDict(extra="allow", strict=True)

    specversion: Literal["1.0"]
    id: Filled
    source: Filled = Field(description="together with the id, tells it from all others")
    type: Filled = Field(description="what happened")
    subject: Name | None = None
    time: Instant | None = None
    datacontenttype: Name | None = None
    dataschema: Name | None = None
    data: Any = None
    data_base64: str | None = Field(default=None, description="data that is not JSON, or text that is not Unicode")

    def build(self) -> CloudEvent:
        """The event it describes.

        Raises:
            PayloadError: its data is not in the form it should be.
        """
        data = self.data if self.data_base64 is None else _data(_decoded(self.data_base64), self.datacontenttype or "")
        return CloudEvent(
            self.id,
            self.source,
            self.type,
            self.subject or "",
            None if self.time is None else in_utc(self.time),
            self.datacontenttype or "",
            self.dataschema or "",
            dict(self.model_extra or {}),
            data,
        )


def read_structured(text: bytes) -> CloudEvent:
    """The event that is one JSON object.

    Raises:
        PayloadError: it is not JSON, or not a CloudEvent.
    """
    try:
        return CloudEventPayload.model_validate_json(text).build()
    except ValidationError as error:
        raise PayloadError(complaints_of(error)) from None


def read_binary(headers: Iterable[tuple[str, str]], body: bytes) -> CloudEvent:
    """The event whose attributes are headers, and whose data is the body.

    Args:
        headers: with their names in small letters, as HTTP has them: one character for each byte.
        body: the body, unpacked.

    Raises:
        PayloadError: it is not a CloudEvent, an attribute is there twice, or its data is not JSON though it says so.
    """
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name == "content-type":
            attributes["datacontenttype"] = value
        elif name.startswith(PREFIX):
            if name.removeprefix(PREFIX) in attributes and name != f"{PREFIX}datacontenttype":
                raise PayloadError([f"{name}: is there more than once"])
            attributes[name.removeprefix(PREFIX)] = _unquoted(name, value)
    for name in ("data", "data_base64"):
        if name in attributes:
            raise PayloadError([f"{PREFIX}{name}: is no attribute; the data is the body"])
    event = read_structured(to_json(attributes))
    return _with(event, _data(body, event.datacontenttype))


def _with(event: CloudEvent, data: Any) -> CloudEvent:
    return CloudEvent(**{name: getattr(event, name) for name in CloudEvent.__slots__} | {"data": data})


def written_whole(headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """A request in binary form that was not understood, as one text to be kept."""
    told = {name: value for name, value in headers if name.startswith(PREFIX) or name == "content-type"}
    return to_json({"headers": told, "body": body.decode("utf-8", "replace")}).decode()


def _unquoted(name: str, value: str) -> str:
    """The value of a header, without quotation marks and percent-encoding."""
    quoted = _QUOTED.fullmatch(value)
    text = _ESCAPED.sub(r"\1", quoted[1]) if quoted else value
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise PayloadError([f"{name}: must be in UTF-8 and percent-encoded"]) from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise PayloadError(["data_base64: is not in base64"]) from None


def _data(body: bytes, content_type: str) -> Any:
    """Data: JSON if it is said to be, or nothing is said; else text, if it can be read as such."""
    if not body:
        return None
    if not content_type or _JSON.fullmatch(content_type.partition(";")[0].strip()):
        try:
            return from_json(body)
        except ValueError as error:
            raise PayloadError([f"data: not JSON: {error}"]) from None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None
