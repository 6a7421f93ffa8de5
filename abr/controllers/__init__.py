"""Bitrate controllers: one file each, and one line in the table."""

from abr.controllers.table import CONTROLLERS, ControllerPart, ControllerSettings, build_controller

__all__ = ["CONTROLLERS", "ControllerPart", "ControllerSettings", "build_controller"]
