"""Studies: one file a question, each a page of a lab book whose ``study`` returns a Study."""
