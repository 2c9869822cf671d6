//! Text and JSON in, the same without secrets out.
