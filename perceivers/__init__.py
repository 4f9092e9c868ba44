"""The musical language and the PerceiverS model, shared by training, export and the daemon.

Importing this package loads nothing: the daemon uses the half that needs no torch.
"""
