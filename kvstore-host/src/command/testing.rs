//! Testing: commands run on a small map in memory, one line in, one line out.
