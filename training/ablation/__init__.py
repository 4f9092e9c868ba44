"""The paper's experiments at equal parameters, tokens and data.

`experiments` holds them as data, `plan` what a command asks for, `runner` carries out one run,
`results` and `tables` keep and show what came of it. The program is `training/ablate.py`.
"""
