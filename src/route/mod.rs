//! Where a dialled number leads, and through which trunk.
