//! What a thread has on the heap, for oracles that something is bounded.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
pub struct Counted;

fn count(bytes: isize) {
    // A thread that ends has nobody who asks.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

/// Bytes that this thread has allocated and nobody on it has freed.
pub fn live() -> isize {
    LIVE.with(Cell::get)
}

// SAFETY: all is the system's allocator's; counting touches no memory that it gave.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: what holds for the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: what holds for the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: what holds for the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
