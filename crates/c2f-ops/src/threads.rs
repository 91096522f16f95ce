//! The threads of candle's own element-wise operations.

/// Tells candle to run its element-wise operations on the thread that calls them.
///
/// For tensors of 65536 values or more, candle keeps threads of its own beside rayon's, which spin while they wait for
/// work or for each other. On a processor with as many cores as rayon has threads, they take a core away from the kernels,
/// and where other programs run, they spin for threads that aren't running. Call it once, at the start of a program, before
/// it has threads and before candle's first operation. Where `CANDLE_NUM_THREADS` is set, that stays; in a program that has
/// other threads by then, and elsewhere than on Linux, it does nothing.
pub fn keep_candle_on_the_callers_thread() {
    #[cfg(target_os = "linux")]
    if std::env::var_os("CANDLE_NUM_THREADS").is_none()
        && std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
    {
        // SAFETY: nobody can read the environment at the same time, as this is the only thread.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var("CANDLE_NUM_THREADS", "1");
        }
    }
}
