//! Menus: the graph and a caller's session in it.
