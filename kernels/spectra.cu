// Events to counts: spectra, energies outside the axis, windows.
//
// One warp takes one frame, and each lane every 32nd of its hits. The counters of neighbouring
// events lie far apart: all but the totals are counted in place, by the atomics of the L2 cache.

constexpr int WARP = 32;
constexpr int N_FATES = 3;
constexpr int BOOKED = 0;  // places in fates, as in state.py
constexpr int UNDER = 1;
constexpr int OVER = 2;
constexpr unsigned int EVENT = 1u << 29;  // bits of a cluster's word, as in events.cu
constexpr unsigned int SIZE = EVENT - 1;

using Count = unsigned long long;

struct Axis {
    int n_bins;
    float min_kev, bins_per_kev;
};

struct Spectra {
    unsigned int* all;
    unsigned int* singles;  // one-pixel events only; nullptr: not wanted
    unsigned int* under;
    unsigned int* over;
};

// Count an event in the half-open bins of its pixel; return its fate.
__device__ int book_spectra(
    int pixel, float kev, bool single, const Axis& axis, const Spectra& spectra)
{
    const float position = __fmul_rn(__fsub_rn(kev, axis.min_kev), axis.bins_per_kev);
    if (position < 0) {
        atomicAdd(&spectra.under[pixel], 1u);
        return UNDER;
    }
    if (!(position < static_cast<float>(axis.n_bins))) {
        atomicAdd(&spectra.over[pixel], 1u);
        return OVER;
    }
    const size_t bin = static_cast<size_t>(pixel) * axis.n_bins + static_cast<int>(position);
    atomicAdd(&spectra.all[bin], 1u);
    if (single && spectra.singles) atomicAdd(&spectra.singles[bin], 1u);
    return BOOKED;
}

// Count an event between the window edges of its pixel, without bins.
__device__ void book_windows(int pixel, float kev, float4 edges_kev, Count* low, Count* high)
{
    if (edges_kev.y <= kev && kev < edges_kev.z) {
        atomicAdd(&low[pixel], 1ull);
    } else if (edges_kev.x <= kev && kev < edges_kev.w) {
        atomicAdd(&high[pixel], 1ull);
    }
}

// n_hits: (frames,); pixel, value, cluster: (frames, pixels), of each hit its event's pixel and keV
// and its cluster's word; window_edges_kev: (pixels, 4); spectra, single_spectra: (pixels, bins);
// under, over, window_low, window_high: (pixels,); fates: (7,).
extern "C" __global__ void book_events(
    int n_frames, int n_pixels, const int* __restrict__ n_hits, const int* __restrict__ pixel,
    const float* __restrict__ value, const unsigned int* __restrict__ cluster, int every_hit,
    int n_bins, float min_kev, float bins_per_kev, int keep_singles,
    const float4* __restrict__ window_edges_kev, unsigned int* spectra,
    unsigned int* single_spectra, unsigned int* under, unsigned int* over, Count* window_low,
    Count* window_high, Count* fates)
{
    __shared__ unsigned int counts[N_FATES];
    if (threadIdx.x < N_FATES) counts[threadIdx.x] = 0;
    __syncthreads();
    const Axis axis = {n_bins, min_kev, bins_per_kev};
    const Spectra all = {spectra, keep_singles ? single_spectra : nullptr, under, over};
    const int frame = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    const size_t begin = static_cast<size_t>(frame) * n_pixels;
    const int n = frame < n_frames ? n_hits[frame] : 0;
    for (size_t i = begin + threadIdx.x % WARP; i < begin + n; i += WARP) {
        if (!(cluster[i] & EVENT)) continue;
        const unsigned int size = cluster[i] & SIZE;
        const int fate = book_spectra(pixel[i], value[i], size == 1, axis, all);
        atomicAdd(&counts[fate], every_hit ? 1u : size);
        book_windows(pixel[i], value[i], window_edges_kev[pixel[i]], window_low, window_high);
    }
    __syncthreads();
    if (threadIdx.x < N_FATES) atomicAdd(&fates[threadIdx.x], Count(counts[threadIdx.x]));
}
