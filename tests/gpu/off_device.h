// Runs kernels.cu on a processor, for tests: each thread of a block is a fiber, blocks come one after the other.
//
// Fibers change only where threads wait for each other, at __syncthreads and in shuffles. So this checks what a kernel
// computes, and that all threads come to each barrier; it does not find a race between two barriers, and tells nothing of speed.
// Shared memory is static: what a block left in it is still there for the next one, as on a device it may be.

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#define OFF_DEVICE
#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(dynamic_shared.data())

struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
struct uint3 { uint32_t x, y, z; };

inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

inline float half_to_float(unsigned short bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                      : exponent     ? std::ldexp(1024.0f + fraction, exponent - 25)
                                     : std::ldexp(float(fraction), -24);
    return bits & 0x8000 ? -magnitude : magnitude;
}

template <class To, class From>
To same_bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from);
    std::memcpy(&to, &from, sizeof to);
    return to;
}

inline uint32_t __float_as_uint(float value) { return same_bits<uint32_t>(value); }
inline float __uint_as_float(uint32_t bits) { return same_bits<float>(bits); }
using std::fmaf;  // NOLINT: one rounding, as on the device
using std::fmax;
inline float fmaxf(float a, float b) { return std::fmax(a, b); }
inline uint32_t atomicAdd(uint32_t* at, uint32_t more) { return std::exchange(*at, *at + more); }

inline uint3 threadIdx, blockIdx, gridDim;
inline std::vector<float4> dynamic_shared;

// A barrier of so many threads: whoever comes waits until all have come.
struct Barrier {
    uint32_t members = 0, here = 0, passed = 0;
};

// A context starts a fiber, once a process; from then on jumps take turns, since changing contexts asks the kernel each time.
struct Fiber {
    ucontext_t context;
    jmp_buf place;
    bool started = false;
    std::unique_ptr<char[]> stack;
    uint32_t exchanges = 0;
    bool done = false;
};

constexpr uint32_t WARP = 32;
constexpr size_t STACK_BYTES = 64 << 10;

inline std::vector<Fiber> fibers;
inline ucontext_t first_scheduler;
inline jmp_buf scheduler;
inline uint32_t running;
inline Barrier block_barrier;
inline std::vector<Barrier> warp_barriers;
inline std::vector<float> exchanged[2];

inline void yield() {
    if (!_setjmp(fibers[running].place)) _longjmp(scheduler, 1);
}

inline void resume(Fiber& fiber) {
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.place, 1);
    fiber.started = true;
    swapcontext(&first_scheduler, &fiber.context);
}

inline void wait_at(Barrier& barrier) {
    uint32_t before = barrier.passed;
    if (++barrier.here == barrier.members) {
        barrier.here = 0;
        ++barrier.passed;
        return;
    }
    while (barrier.passed == before) yield();
}

inline void __syncthreads() { wait_at(block_barrier); }

inline float __shfl_xor_sync(uint32_t, float value, uint32_t apart) {
    // in turns: who is at the next exchange leaves what others have still to read of this one
    uint32_t thread = threadIdx.x;
    std::vector<float>& values = exchanged[fibers[thread].exchanges++ % 2];
    values[thread] = value;
    wait_at(warp_barriers[thread / WARP]);
    return values[thread ^ apart];
}

inline void (*body)(void*);
inline void* body_arguments;

inline void work() {
    for (;;) {
        body(body_arguments);
        fibers[running].done = true;
        yield();
    }
}

inline void run_block(uint32_t threads) {
    if (fibers.size() < threads) fibers.resize(threads);
    for (std::vector<float>& values : exchanged) values.resize(threads);
    block_barrier = {threads};
    warp_barriers.assign(threads / WARP, Barrier{WARP});
    for (Fiber& fiber : fibers) {
        fiber.exchanges = 0;
        fiber.done = false;
        if (fiber.stack) continue;
        fiber.stack.reset(new char[STACK_BYTES]);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = STACK_BYTES;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, work, 0);
    }
    for (uint32_t left = threads, rounds = 0; left;) {
        if (++rounds > 10'000'000) {
            std::fprintf(stderr, "threads wait for others that never come\n");
            std::abort();
        }
        uint32_t before = left;
        for (running = 0; running < threads; ++running) {
            if (fibers[running].done) continue;
            threadIdx.x = running;
            resume(fibers[running]);
            left -= fibers[running].done;
        }
        if (left && left < before && block_barrier.here) {
            // some have ended while others wait: on a device that is undefined
            std::fprintf(stderr, "a thread ended without coming to a barrier\n");
            std::abort();
        }
    }
}

template <class... Arguments>
struct Launch {
    using Kernel = void (*)(Arguments...);
    Kernel kernel;
    std::tuple<Arguments...> arguments;

    template <size_t... I>
    Launch(Kernel kernel, void** given, std::index_sequence<I...>) : kernel(kernel), arguments(*static_cast<Arguments*>(given[I])...) {}

    static void call(void* self) {
        auto launch = static_cast<Launch*>(self);
        std::apply(launch->kernel, launch->arguments);
    }
};

template <class... Arguments>
void launch(void (*kernel)(Arguments...), uint32_t grid_x, uint32_t grid_y, uint32_t threads, uint32_t shared_bytes, void** given) {
    Launch<Arguments...> one(kernel, given, std::index_sequence_for<Arguments...>{});
    body = Launch<Arguments...>::call;
    body_arguments = &one;
    dynamic_shared.resize(shared_bytes / sizeof(float4));
    gridDim = {grid_x, grid_y, 1};
    for (blockIdx.y = 0; blockIdx.y < grid_y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < grid_x; ++blockIdx.x) run_block(threads);
}

#define LAUNCHER(name)                                                                                                     \
    extern "C" void launch_##name(uint32_t grid_x, uint32_t grid_y, uint32_t threads, uint32_t shared_bytes, void** given) { \
        launch(name, grid_x, grid_y, threads, shared_bytes, given);                                                       \
    }
