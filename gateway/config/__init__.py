"""Configuration: read the files, check what they say, and tell every problem with its place."""

from gateway.config.document import Documents
from gateway.config.loader import Loaded, load
from gateway.config.models import ChannelConfig, Config, GroupConfig, HandlerConfig
from gateway.config.report import write_problems
from gateway.config.schema import json_schema
from gateway.config.secrets import resolve_url
from gateway.config.source import KeyPath, Position, Problem, SourceFile
from gateway.config.sources import Sources, read_sources

__all__ = [
    "ChannelConfig",
    "Config",
    "Documents",
    "GroupConfig",
    "HandlerConfig",
    "KeyPath",
    "Loaded",
    "Position",
    "Problem",
    "SourceFile",
    "Sources",
    "json_schema",
    "load",
    "read_sources",
    "resolve_url",
    "write_problems",
]
