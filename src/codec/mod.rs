//! Codecs, one file each and one row in a table.
