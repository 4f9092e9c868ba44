"""Numbers that the MIDI standard gives to channels, messages and controllers."""

CHANNELS = 16
NOTE_OFF, NOTE_ON, CONTROL_CHANGE = 0x80, 0x90, 0xB0
STOP, SYSTEM_RESET = 0xFC, 0xFF
SUSTAIN, SOSTENUTO, SOFT = 64, 66, 67
SOUND_OFF, RESET_CONTROLLERS, NOTES_OFF = 120, 121, 123
