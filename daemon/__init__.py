"""The real-time daemon: it listens, decides and plays, and never loads torch.

At the top lie what is started (`__main__`, `supervisor`, `ctl`, `osc`), the recorder, and what all
rooms read: `settings`, `parameters`, `log`. A room is named by what it owns; `bench/` measures them
all, and nobody imports it.
"""
