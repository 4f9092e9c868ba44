"""Errors that a user can cause, each told in one line that names the next step."""


class PerformerError(Exception):
    """Base of every expected error: reported in one line, without a traceback, exit code 2."""


class SettingsError(PerformerError, ValueError):
    """A configuration file or a parameter holds a value that is not allowed."""


class MidiFileError(PerformerError, ValueError):
    """A MIDI file cannot be read as music."""


class ModelMismatch(PerformerError, ValueError):
    """A checkpoint, model folder or token file does not fit this vocabulary or architecture."""


class PortNotFound(PerformerError, LookupError):
    """No MIDI system, or no port of the given name."""
