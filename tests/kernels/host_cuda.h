// Runs the CUDA kernels on a CPU: include this, then the .cu file as it is, then HOST_KERNEL(name).
//
// Has the words of CUDA that the kernels use, and no others. Blocks run one after the other; the
// threads of one are fibres, see host_fibres.h.

#pragma once

#include "host_fibres.h"

#include <cmath>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) ulonglong2 {
    unsigned long long x, y;
};

namespace host {

template <class... Parameters, std::size_t... I>
void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<I...>)
{
    kernel(*static_cast<std::remove_cv_t<Parameters>*>(arguments[I])...);
}

// Run a kernel; return what went wrong, or an empty string. Every argument comes with its size,
// because on a device an argument of the wrong size is not noticed.
template <class... Parameters>
const char* launch(
    void (*kernel)(Parameters...), unsigned int n_blocks, unsigned int n_threads, void** arguments,
    const std::size_t* sizes, std::size_t n_arguments, unsigned int seed)
{
    constexpr std::size_t EXPECTED[] = {sizeof(Parameters)...};
    failure = n_threads % WARP ? "A block must be whole warps." : "";
    if (!std::equal(sizes, sizes + n_arguments, std::begin(EXPECTED), std::end(EXPECTED))) {
        failure = "The arguments do not have the number and sizes of the parameters.";
    }
    static void (*run)(Parameters...);
    static void** given;
    run = kernel;
    given = arguments;
    body = [] { call(run, given, std::index_sequence_for<Parameters...>{}); };
    chance.seed(seed);
    favourite = 0;
    fibres.resize(n_threads);
    gridDim.x = n_blocks;
    blockDim.x = n_threads;
    for (blockIdx.x = 0; failure.empty() && blockIdx.x < n_blocks; ++blockIdx.x) run_block();
    return failure.c_str();
}

template <class Value>
Value shuffle(Meeting meeting, unsigned int lanes, Value value, unsigned int argument)
{
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = meet(meeting, lanes, bits, argument);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

template <class Value>
struct Same {
    using Type = Value;
};

template <class Value, class Change>
Value change(Value* where, Change new_value)
{
    static_assert(
        std::is_same_v<Value, int> || std::is_same_v<Value, unsigned int> ||
            std::is_same_v<Value, unsigned long long>,
        "no such atomic operation here");
    interleave(4);
    on_fibre = false;  // nobody comes between
    const Value was = *where;
    *where = new_value(was);
    on_fibre = true;
    return was;
}

}  // namespace host

#define HOST_KERNEL(name)                                                                  \
    extern "C" const char* launch_##name(                                                  \
        unsigned int n_blocks, unsigned int n_threads, void** arguments,                   \
        const std::size_t* sizes, std::size_t n_arguments, unsigned int seed)              \
    {                                                                                      \
        return host::launch(name, n_blocks, n_threads, arguments, sizes, n_arguments, seed); \
    }

using std::max;
using std::min;

inline void __syncthreads() { host::pause(host::Meeting::block); }
inline void __syncwarp(unsigned int lanes = host::ALL_LANES)
{
    host::meet(host::Meeting::warp, lanes);
}
inline unsigned int __ballot_sync(unsigned int lanes, int vote)
{
    return static_cast<unsigned int>(host::meet(host::Meeting::ballot, lanes, vote != 0));
}
template <class Value>
Value __shfl_sync(unsigned int lanes, Value value, unsigned int lane)
{
    return host::shuffle(host::Meeting::shuffle, lanes, value, lane);
}
template <class Value>
Value __shfl_up_sync(unsigned int lanes, Value value, unsigned int distance)
{
    return host::shuffle(host::Meeting::shuffle_up, lanes, value, distance);
}

template <class Value>
Value atomicAdd(Value* where, typename host::Same<Value>::Type what)
{
    return host::change(where, [what](Value was) { return was + what; });
}
template <class Value>
Value atomicOr(Value* where, typename host::Same<Value>::Type what)
{
    return host::change(where, [what](Value was) { return was | what; });
}
template <class Value>
Value atomicMin(Value* where, typename host::Same<Value>::Type what)
{
    return host::change(where, [what](Value was) { return std::min(was, what); });
}

template <class Value>
Value __ldg(const Value* where)
{
    return *where;
}
inline int __popc(unsigned int bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
