// Frames to hits: the pixels above their limit, listed in row-major order.
//
// One warp takes one frame. Each lane loads eight pixels at a time, and several such loads are
// under way before the first is looked at: this pass over every pixel is bound by memory. What
// follows it, in events.cu and spectra.cu, is per hit.

constexpr int WARP = 32;
constexpr unsigned int ALL_LANES = 0xffffffff;
constexpr int EIGHT = 8;            // pixels per load: 16 bytes, the widest there is
constexpr int STEP = WARP * EIGHT;  // pixels per load of the warp
constexpr int UNDER_WAY = 5;        // loads at a time; divides the 25 of a frame of 80 x 80
constexpr int NEXT_FRAME = 5;       // place in fates, as in state.py

using Adu = unsigned short;
using Count = unsigned long long;
using Eight = ulonglong2;  // pixels 0 to 3 in x, 4 to 7 in y, the first in the lowest bits

// Where the hits of a frame go: a list of their pixels and of their ADU, and counters.
struct Found {
    int* pixel;
    float* value;
    Count* hit_map;
    Count* fates;
};

// Eight pixels of a frame; beyond its end they are 0, which is above no limit.
__device__ Eight load_eight(const Adu* __restrict__ adu, int first, int n_pixels)
{
    return first < n_pixels ? __ldg(reinterpret_cast<const Eight*>(adu + first)) : Eight{0, 0};
}

__device__ Adu pick(Eight eight, int i)
{
    return static_cast<Adu>((i < 4 ? eight.x : eight.y) >> 16 * (i % 4));
}

// Bit i: pixel i is a hit.
__device__ unsigned int above_limit(Eight adu, Eight limit_adu)
{
    unsigned int hits = 0;
#pragma unroll
    for (int i = 0; i < EIGHT; ++i) {
        hits |= static_cast<unsigned int>(pick(adu, i) > pick(limit_adu, i)) << i;
    }
    return hits;
}

// Take away those of eight hits that the frame before had too.
__device__ unsigned int reject_repeated(
    unsigned int hits, Eight limit_adu, const Adu* before, int first, const Found& found)
{
    unsigned int repeated = 0;
    for (unsigned int rest = hits; rest; rest &= rest - 1) {
        const int i = __ffs(rest) - 1;
        if (before[first + i] <= pick(limit_adu, i)) continue;
        repeated |= 1u << i;
        atomicAdd(&found.hit_map[first + i], 1ull);
    }
    if (repeated) atomicAdd(&found.fates[NEXT_FRAME], Count(__popc(repeated)));
    return hits & ~repeated;
}

// Count and list the hits among eight pixels from a place on.
__device__ void list_hits(unsigned int hits, Eight adu, int first, int place, const Found& found)
{
    for (unsigned int rest = hits; rest; rest &= rest - 1, ++place) {
        const int i = __ffs(rest) - 1;
        found.pixel[place] = first + i;
        found.value[place] = pick(adu, i);
        atomicAdd(&found.hit_map[first + i], 1ull);
    }
}

// Sum of n over the lanes before this one; the sum over all lanes goes to total.
__device__ int sum_before(int n, int lane, int& total)
{
    int sum = n;
#pragma unroll
    for (int step = 1; step < WARP; step *= 2) {
        const int other = __shfl_up_sync(ALL_LANES, sum, step);
        if (lane >= step) sum += other;
    }
    total = __shfl_sync(ALL_LANES, sum, WARP - 1);
    return sum - n;
}

// Scan one frame; return how many hits are listed. Before is the frame before it, if that matters.
__device__ int scan(
    const Adu* __restrict__ adu, const Adu* __restrict__ before, const Adu* __restrict__ limit_adu,
    int n_pixels, const Found& found)
{
    const int lane = threadIdx.x % WARP;
    int n_listed = 0;
    for (int begin = 0; begin < n_pixels; begin += UNDER_WAY * STEP) {
        Eight eights[UNDER_WAY];
#pragma unroll
        for (int k = 0; k < UNDER_WAY; ++k) {
            eights[k] = load_eight(adu, begin + k * STEP + lane * EIGHT, n_pixels);
        }
#pragma unroll
        for (int k = 0; k < UNDER_WAY; ++k) {
            const int first = begin + k * STEP + lane * EIGHT;
            const Eight limits = load_eight(limit_adu, first, n_pixels);
            unsigned int hits = above_limit(eights[k], limits);
            if (before) hits = reject_repeated(hits, limits, before, first, found);
            int n_hits;
            const int place = n_listed + sum_before(__popc(hits), lane, n_hits);
            list_hits(hits, eights[k], first, place, found);
            n_listed += n_hits;
        }
    }
    return n_listed;
}

// frames: (frames, pixels) uint16, the pixels a multiple of 8, from an address that is one of 16.
// previous: (pixels,), the frame before the first, if it follows. limit_adu, hit_map: (pixels,).
// n_hits: (frames,). pixel, value: (frames, pixels), of each hit its pixel and its ADU.
extern "C" __global__ void find_hits(
    const Adu* __restrict__ frames, const Adu* __restrict__ previous,
    const Adu* __restrict__ limit_adu, int n_frames, int n_pixels, int next_frame, int follows,
    int* n_hits, int* pixel, float* value, Count* hit_map, Count* fates)
{
    const int frame = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (frame >= n_frames) return;
    const size_t begin = static_cast<size_t>(frame) * n_pixels;
    const Adu* adu = frames + begin;
    const Adu* before = frame ? adu - n_pixels : follows ? previous : nullptr;
    if (!next_frame) before = nullptr;
    const int n = scan(
        adu, before, limit_adu, n_pixels, {pixel + begin, value + begin, hit_map, fates});
    if (threadIdx.x % WARP == 0) n_hits[frame] = n;
}
