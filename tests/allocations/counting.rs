//! An allocator that counts for each thread by itself, so that tests beside each other do not see each other.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, and counts.
pub(crate) struct Counting;

thread_local! {
    // Plain cells with constant initial values: using them allocates nothing and registers no destructor.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread allocated and did not free; negative if it frees what others allocated.
    static ALIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn grew(bytes: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    ALIVE.set(ALIVE.get() + bytes as isize);
    PEAK.set(PEAK.get().max(ALIVE.get()));
}

fn shrank(bytes: usize) {
    ALIVE.set(ALIVE.get() - bytes as isize);
}

// SAFETY: every method hands its arguments on to `System` unchanged and returns what that returns; the counting does
// not allocate and cannot unwind.
#[allow(unsafe_code, reason = "a global allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is this one's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrank(layout.size());
        // SAFETY: `pointer` came from `System` with this layout, since every allocation of this process did.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Both blocks may exist while the bytes are moved.
        grew(new_size);
        shrank(layout.size());
        // SAFETY: as for `dealloc`; the caller keeps the contract for `new_size`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Allocations that `work` makes on this thread.
pub(crate) fn allocations_of(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Bytes that `work` has allocated on this thread at once, at most.
pub(crate) fn peak_of(work: impl FnOnce()) -> usize {
    let before = ALIVE.get();
    PEAK.set(before);
    work();
    usize::try_from(PEAK.get() - before).expect("the peak is never below where it began")
}
