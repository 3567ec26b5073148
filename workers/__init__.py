"""Workers: turn committed events into alerts, rotations and judgements."""
