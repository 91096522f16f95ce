//! candle starts no threads of its own in a program that has asked for that. The test is a program without a harness, which
//! would have threads; it starts itself once more to be a program that has another thread.

use std::process::Command;

use candle_core::{DType, Device, Tensor};

const OTHER_THREAD: &str = "--other-thread";

#[cfg(target_os = "linux")]
fn main() {
    let asked = || std::env::var_os("CANDLE_NUM_THREADS");
    if std::env::args().any(|argument| argument == OTHER_THREAD) {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || stopped.recv());
        c2f_ops::keep_candle_on_the_callers_thread();
        assert_eq!(asked(), None, "another thread may be reading the environment");
        drop(stop);
        other.join().unwrap().unwrap_err();
        return;
    }
    let status =
        Command::new(std::env::current_exe().unwrap()).arg(OTHER_THREAD).env_remove("CANDLE_NUM_THREADS").status();
    assert!(status.unwrap().success());
    // Where somebody asks for two threads, candle starts one besides the caller's, and then the rest would prove nothing.
    let given = asked();
    c2f_ops::keep_candle_on_the_callers_thread();
    assert_eq!(asked().unwrap(), given.clone().unwrap_or_else(|| "1".into()));
    let x = Tensor::ones(1 << 20, DType::F32, &Device::Cpu).unwrap();
    assert_eq!((&x + &x).unwrap().max(0).unwrap().to_scalar::<f32>().unwrap(), 2.0);
    if given.is_none() {
        let names = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
        let candles: Vec<String> = names.filter(|name| name.starts_with("candle-bp")).collect();
        assert!(candles.is_empty(), "{candles:?}");
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
