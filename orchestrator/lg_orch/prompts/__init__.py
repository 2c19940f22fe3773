"""The prompts, one file each; `rules.md` comes before each of the others."""
