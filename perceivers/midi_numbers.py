"""Numbers that the MIDI standard gives to channels, messages and controllers."""

CHANNELS = 16
NOTE_OFF, NOTE_ON, CONTROL_CHANGE, PROGRAM_CHANGE = 0x80, 0x90, 0xB0, 0xC0
CHANNEL_PRESSURE, PITCH_BEND = 0xD0, 0xE0
SYSTEM = 0xF0  # from here on a message belongs to no channel
SONG_POSITION = 0xF2
CLOCK, START, CONTINUE, STOP, SYSTEM_RESET = 0xF8, 0xFA, 0xFB, 0xFC, 0xFF
HIGHEST_VALUE = 127  # of a key, a velocity, a program, and the place of a controller
CLOCKS_PER_BEAT = 24
SUSTAIN, SOSTENUTO, SOFT = 64, 66, 67
LAST_CONTROLLER = 119  # those above are modes of a channel
SOUND_OFF, RESET_CONTROLLERS, NOTES_OFF = 120, 121, 123
