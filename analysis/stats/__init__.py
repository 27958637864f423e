"""The statistics: frames in, frames out."""
