// The threads of a CUDA block as fibres of one CPU thread: one runs at a time, until it meets the
// others of its warp or block.
//
// Who runs next is drawn from a seed, and at an atomic operation or a branch others may go first: a
// missing barrier shows as a wrong result, and again with the same seed. Threads that cannot meet
// (some have left, some wait elsewhere) are reported.

#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

struct dim3 {
    unsigned int x = 1, y = 1, z = 1;
};

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace host {

constexpr unsigned int WARP = 32;
constexpr unsigned int ALL_LANES = 0xffffffff;
constexpr std::size_t STACK_BYTES = 256 << 10;  // of a fibre; sanitisers need more than kernels do

// What a thread waits for.
enum class Meeting { none, block, warp, ballot, shuffle, shuffle_up, over };

inline const char* const NAMES[] = {
    "runs", "waits at __syncthreads", "waits at __syncwarp", "waits at __ballot_sync",
    "waits at __shfl_sync", "waits at __shfl_up_sync", "has returned"};

struct Fibre {
    ucontext_t context;
    std::vector<char> stack;
    Meeting meeting;
    std::uint64_t value;    // given to the others of the warp, then taken from them
    unsigned int argument;  // of the shuffle: a lane or a distance
};

inline std::vector<Fibre> fibres;  // the threads of the block
inline ucontext_t scheduler;
inline void (*body)();             // what each thread runs
inline std::minstd_rand chance;
inline std::size_t favourite;      // warp that goes ahead of the others
inline volatile bool on_fibre;     // volatile: see __sanitizer_cov_trace_pc
inline std::string failure;

// The running thread; its index is the one it has on the device.
inline Fibre& self() { return fibres[threadIdx.x]; }

inline void pause(Meeting meeting)
{
    on_fibre = false;
    Fibre& fibre = self();
    fibre.meeting = meeting;
    swapcontext(&fibre.context, &scheduler);
}

inline std::uint64_t meet(
    Meeting meeting, unsigned int lanes, std::uint64_t value = 0, unsigned int argument = 0)
{
    if (lanes != ALL_LANES) failure = "Only meetings of all 32 lanes are known here.";
    self().value = value;
    self().argument = argument;
    pause(meeting);
    return self().value;
}

// Let others go first, now and then.
__attribute__((no_sanitize_coverage)) inline void interleave(unsigned int one_in)
{
    on_fibre = false;
    const bool others_first = chance() % one_in == 0;
    on_fibre = true;
    if (others_first) pause(Meeting::none);
}

inline void run_fibre()
{
    body();
    pause(Meeting::over);
}

inline void start_fibre(Fibre& fibre)
{
    fibre.stack.resize(STACK_BYTES);
    fibre.meeting = Meeting::none;
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.data();
    fibre.context.uc_stack.ss_size = fibre.stack.size();
    makecontext(&fibre.context, run_fibre, 0);
}

// What each lane of a warp takes from the meeting.
inline std::uint64_t taken(const std::uint64_t* given, unsigned int lane, const Fibre& fibre)
{
    const unsigned int argument = fibre.argument;
    switch (fibre.meeting) {
        case Meeting::shuffle: return given[argument % WARP];
        case Meeting::shuffle_up: return given[lane < argument ? lane : lane - argument];
        default: break;
    }
    std::uint64_t ballot = 0;
    for (unsigned int i = 0; i < WARP; ++i) ballot |= std::uint64_t{given[i] != 0} << i;
    return ballot;
}

inline bool all_meet(std::size_t begin, std::size_t end, Meeting meeting)
{
    return std::all_of(fibres.begin() + begin, fibres.begin() + end, [&](const Fibre& fibre) {
        return fibre.meeting == meeting;
    });
}

// Let a warp go on whose lanes all wait for the same; return whether it could.
inline bool release_warp(std::size_t begin)
{
    const Meeting meeting = fibres[begin].meeting;
    if (meeting < Meeting::warp || meeting == Meeting::over) return false;
    if (!all_meet(begin, begin + WARP, meeting)) return false;
    std::uint64_t given[WARP];
    for (unsigned int i = 0; i < WARP; ++i) given[i] = fibres[begin + i].value;
    for (unsigned int i = 0; i < WARP; ++i) {
        Fibre& fibre = fibres[begin + i];
        fibre.value = taken(given, i, fibre);
        fibre.meeting = Meeting::none;
    }
    return true;
}

inline bool release_block()
{
    if (!all_meet(0, fibres.size(), Meeting::block)) return false;
    for (Fibre& fibre : fibres) fibre.meeting = Meeting::none;
    return true;
}

// Let the threads of one warp run that can, in random order; return whether anything could move.
// It is mostly the same warp as before.
inline bool advance()
{
    std::vector<unsigned int> ready;
    for (unsigned int i = 0; i < fibres.size(); ++i) {
        if (fibres[i].meeting == Meeting::none) ready.push_back(i);
    }
    std::shuffle(ready.begin(), ready.end(), chance);
    const auto is_favourite = [](unsigned int i) { return i / WARP == favourite; };
    const bool stays = chance() % 16 && std::any_of(ready.begin(), ready.end(), is_favourite);
    if (!stays && !ready.empty()) favourite = ready.front() / WARP;
    for (const unsigned int i : ready) {
        if (!is_favourite(i)) continue;
        threadIdx.x = i;
        on_fibre = true;
        swapcontext(&scheduler, &fibres[i].context);
    }
    bool moved = !ready.empty();
    for (std::size_t begin = 0; begin < fibres.size(); begin += WARP) moved |= release_warp(begin);
    return release_block() || moved;
}

inline void describe_divergence()
{
    failure = "Threads of block " + std::to_string(blockIdx.x) + " cannot meet:";
    for (std::size_t i = 0; i < fibres.size(); ++i) {
        if (i > 0 && fibres[i].meeting == fibres[i - 1].meeting) continue;
        failure += " from thread " + std::to_string(i) + " " +
                   NAMES[static_cast<int>(fibres[i].meeting)] + ";";
    }
}

inline void run_block()
{
    for (Fibre& fibre : fibres) start_fibre(fibre);
    while (failure.empty() && !all_meet(0, fibres.size(), Meeting::over)) {
        if (!advance()) describe_divergence();
    }
}

}  // namespace host

// With -fsanitize-coverage=trace-pc, the compiler calls this on every branch, and takes for granted
// that it changes nothing.
extern "C" __attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc()
{
    if (host::on_fibre) host::interleave(16);
}
