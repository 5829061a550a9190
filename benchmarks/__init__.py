"""Speed, accuracy and memory beside those of other libraries; not part of the installed package."""
