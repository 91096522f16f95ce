// CUDA on the host, as far as kernels.cu needs it. Blocks run one after another, so that a static is a block's shared memory. A block's
// threads are fibers, which change at __syncthreads alone, from first to last or (REVERSED) the other way round: where a barrier is
// missing the two orders differ. With HOST_THREADS they are real threads, for the sanitizers.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)

using std::erfc, std::exp, std::floor, std::log, std::max, std::min, std::sqrt;

struct Dimensions {
    unsigned x, y, z;
};
static Dimensions gridDim, blockDim;
static thread_local Dimensions blockIdx, threadIdx;

#ifdef HOST_THREADS
#include <barrier>
#include <thread>

static std::barrier<>* barrier;
static void __syncthreads() { barrier->arrive_and_wait(); }

template <class F> void run_grid(F kernel, bool) {
    std::barrier<> meeting(blockDim.x);
    barrier = &meeting;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < blockDim.x; t++)
        threads.emplace_back([&, t] {
            threadIdx = {t, 0, 0};
            for (unsigned y = 0; y < gridDim.y; y++)
                for (unsigned x = 0; x < gridDim.x; x++) {
                    blockIdx = {x, y, 0};
                    kernel();
                    // A thread that returned early waits for the block's others here, not at their barriers: kernels.cu has none such.
                    meeting.arrive_and_wait();
                }
        });
    for (auto& thread : threads) thread.join();
}
#else
#include <ucontext.h>

static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<bool> done;
static unsigned current;
static void (*body)(void*);
static void* body_data;

static void __syncthreads() { swapcontext(&fibers[current], &scheduler); }
static void enter() {
    body(body_data);
    done[current] = true;
}

template <class F> void run_grid(F kernel, bool reversed) {
    const size_t stack = 1 << 16;
    unsigned count = blockDim.x;
    std::vector<char> stacks(count * stack);
    body = [](void* data) { (*(F*)data)(); };
    body_data = &kernel;
    for (unsigned y = 0; y < gridDim.y; y++)
        for (unsigned x = 0; x < gridDim.x; x++) {
            blockIdx = {x, y, 0};
            fibers.assign(count, {});
            done.assign(count, false);
            for (unsigned t = 0; t < count; t++) {
                getcontext(&fibers[t]);
                fibers[t].uc_stack.ss_sp = &stacks[t * stack];
                fibers[t].uc_stack.ss_size = stack;
                fibers[t].uc_link = &scheduler;
                makecontext(&fibers[t], enter, 0);
            }
            for (unsigned left = count; left > 0;)
                for (unsigned i = 0; i < count; i++) {
                    current = reversed ? count - 1 - i : i;
                    if (done[current]) continue;
                    threadIdx = {current, 0, 0};
                    swapcontext(&scheduler, &fibers[current]);
                    if (done[current]) left--;
                }
        }
}
#endif

// Runs a kernel on arguments as cuLaunchKernel takes them: pointers to their values.
template <class... A, size_t... I>
void launch_with(void (*kernel)(A...), void** args, bool reversed, std::index_sequence<I...>) {
    run_grid([&] { kernel(*(A*)args[I]...); }, reversed);
}
template <class... A> void launch_kernel(void (*kernel)(A...), void** args, bool reversed) {
    launch_with(kernel, args, reversed, std::index_sequence_for<A...>());
}
