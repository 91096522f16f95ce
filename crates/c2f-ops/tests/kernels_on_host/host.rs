//! The kernels, compiled by g++ and run on the host.
#![allow(unsafe_code, reason = "to load what was just compiled, and to call it")]

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::{Result, Tensor, WithDType, bail};
use libloading::Library;

use crate::launch::{Arg, BLOCK, Element, LaunchShape, Machine, Plain, RUN, Values};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cuda/kernels.cu");
const SHIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernels_on_host");

/// `launch` of [`program`]: the kernel's name, the grid, the block, the arguments, the order of the threads.
type Launch = unsafe extern "C" fn(*const c_char, c_uint, c_uint, c_uint, *const *const u64, c_int) -> c_int;

/// The host as a machine for kernels. Its memory is the process's.
pub struct Host {
    /// By the element type's name.
    libraries: HashMap<&'static str, Library>,
    reversed: bool,
}

/// With the threads in their order, and the other way round; none without g++.
static HOSTS: LazyLock<Option<[Host; 2]>> = LazyLock::new(|| {
    if let Err(error) = Command::new("g++").arg("--version").output() {
        eprintln!("skipped: g++ compiles the kernels for the host, and does not start: {error}");
        return None;
    }
    let host = |reversed| Host { libraries: [compile::<f32>(), compile::<f64>()].into(), reversed };
    Some([host(false), host(true)])
});

/// A launch uses the library's variables.
static LAUNCH: Mutex<()> = Mutex::new(());

/// What `run` gives on the host, which must be the same bits for both orders of the threads. None without g++.
#[track_caller]
pub fn on_host<T: Element + WithDType>(run: impl Fn(&Host) -> Result<Vec<Vec<T>>>) -> Option<Vec<Vec<T>>> {
    let [forward, backward] = HOSTS.as_ref()?;
    let (one, other) = (run(forward).unwrap(), run(backward).unwrap());
    let bits = |all: &[Vec<T>]| -> Vec<u64> { all.iter().flatten().map(|x| x.to_f64().to_bits()).collect() };
    assert_eq!(bits(&one), bits(&other), "the order of a block's threads matters: a barrier is missing");
    Some(one)
}

/// A program that has the kernels and starts them by name.
fn program(source: &str) -> String {
    let start = |name| format!("if (!strcmp(name, \"{name}\")) return launch_kernel({name}, args, reversed), 0;");
    let names = source.lines().filter_map(|line| line.strip_prefix("KERNEL ")?.split('(').next());
    let starts = names.map(start).collect::<Vec<_>>().join("\n");
    format!(
        "#include \"shim.h\"\n#include \"{SOURCE}\"\n\
         extern \"C\" int launch(const char* name, unsigned x, unsigned y, unsigned block, void** args, int reversed) {{\n\
         gridDim = {{x, y, 1}};\nblockDim = {{block, 1, 1}};\n{starts}\nreturn 1;\n}}\n"
    )
}

/// `C2F_SANITIZE=address,undefined` or `thread` compiles with these sanitizers and with real threads. Their runtimes must be there before
/// the process starts, and have nothing to say of Rust's:
///
/// ```text
/// C2F_SANITIZE=thread TSAN_OPTIONS=ignore_noninstrumented_modules=1 \
///   CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="env LD_PRELOAD=$(g++ -print-file-name=libtsan.so)" \
///   cargo test -p c2f-ops --test kernels_on_host
/// ```
///
/// For the other two, `ASAN_OPTIONS=detect_leaks=0` and libasan.so before libubsan.so.
fn compile<T: Element>() -> (&'static str, Library) {
    let folder = tempfile::tempdir().unwrap();
    let (code, library) = (folder.path().join("kernels.cpp"), folder.path().join("kernels.so"));
    std::fs::write(&code, program(&std::fs::read_to_string(SOURCE).unwrap())).unwrap();
    let mut command = Command::new("g++");
    // No fused multiplications, which the CPU's kernels haven't either.
    command.args(["-std=c++20", "-O1", "-Wall", "-Wno-unknown-pragmas", "-ffp-contract=off", "-shared", "-fPIC"]);
    command.arg(format!("-DReal={}", T::NAME)).arg(format!("-DBLOCK={BLOCK}")).arg(format!("-DRUN={RUN}"));
    if let Ok(sanitizers) = std::env::var("C2F_SANITIZE") {
        command.args(["-g", "-fno-sanitize-recover=all", "-DHOST_THREADS"]).arg(format!("-fsanitize={sanitizers}"));
    }
    command.arg("-I").arg(SHIM).arg("-o").arg(&library).arg(&code);
    assert!(command.status().unwrap().success(), "g++ doesn't compile the kernels");
    (T::NAME, load(&library))
}

fn load(library: &Path) -> Library {
    // SAFETY: it was compiled just now, and does nothing when it is loaded.
    unsafe { Library::new(library) }.unwrap()
}

/// A tensor's values as a buffer.
pub fn put<T: Element + WithDType>(x: &Tensor) -> Result<Vec<T>> {
    x.to_dtype(T::DTYPE)?.flatten_all()?.to_vec1()
}

impl Machine for Host {
    type Buffer<T: Plain> = Vec<T>;

    fn alloc<T: Plain>(&self, len: usize) -> Result<Vec<T>> {
        let mut values = Vec::<T>::with_capacity(len);
        // SAFETY: there is room for `len` values, and every pattern of bits is one of these numbers: with all bits set NaN, which
        // whatever the kernel leaves out then is.
        unsafe {
            values.as_mut_ptr().write_bytes(0xff, len);
            values.set_len(len);
        }
        Ok(values)
    }

    fn upload<T: Plain>(&self, values: &[T]) -> Result<Vec<T>> {
        Ok(values.to_vec())
    }

    fn input<'a, T: Plain>(&'a self, buffer: &'a Vec<T>) -> Values<'a, T> {
        Values::new(buffer.as_ptr() as u64, buffer.len(), ())
    }

    fn output<'a, T: Plain>(&'a self, buffer: &'a mut Vec<T>) -> Values<'a, T> {
        Values::new(buffer.as_mut_ptr() as u64, buffer.len(), ())
    }

    unsafe fn launch<T: Element>(&self, kernel: &'static str, shape: LaunchShape, args: &[Arg]) -> Result<()> {
        let args: Vec<*const u64> = args.iter().map(|arg| std::ptr::from_ref(&arg.0)).collect();
        let name = CString::new(kernel).unwrap();
        let _one_at_a_time = LAUNCH.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the symbol has that type (`program`), and the caller answers for the arguments.
        let unknown = unsafe {
            let launch = self.libraries[T::NAME].get::<Launch>(b"launch\0").unwrap();
            launch(name.as_ptr(), shape.grid.0, shape.grid.1, shape.block, args.as_ptr(), c_int::from(self.reversed))
        };
        if unknown != 0 {
            bail!("there is no kernel {kernel}");
        }
        Ok(())
    }
}

const _: () = assert!(size_of::<*const c_void>() == size_of::<u64>(), "an address is an argument of eight bytes");
