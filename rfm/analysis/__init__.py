"""The pure floor: frames in, frames out; no files, no clock, no engine."""
