"""The tables, as Markdown, LaTeX and CSV."""
