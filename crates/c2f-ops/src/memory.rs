//! The allocator's settings for training.

/// Tells glibc's allocator to keep freed memory for the next step instead of giving it back to the system.
///
/// A training step frees and takes the same large blocks again and again. By default glibc maps each of them anew, and
/// the kernel clears every page once more: half of a step's time. Call it once, at the start of a program that trains; the
/// process then stays at its peak memory. Elsewhere than on Linux with glibc it does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers, changes settings of the allocator alone, and is safe to call from any thread.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        // What one thread freed, another one can take: the blocks are large, so threads seldom wait for each other.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
