"""`python -m vlaa_thinking` is `vlaa-thinking`."""

from vlaa_thinking.cli import app

app(prog_name="vlaa-thinking")
