// Hits to events: calibrate, cluster, judge.
//
// One warp takes one frame, and each lane every 32nd hit. All it works on lies in the frame's part
// of the lists, so that any number of hits takes the same path. The lanes meet at __syncwarp only,
// which also makes what each has written visible to the others.

constexpr int WARP = 32;
constexpr int N_SIZES = 5;  // clusters of 1, 2, 3, 4, 5+ pixels
constexpr int N_FATES = 7;
constexpr int TOO_LARGE = 3;  // places in fates, as in state.py
constexpr int BELOW_THRESHOLD = 4;
constexpr int VETOED = 6;

// What is known of a cluster, in one word at its root: its size and these bits.
constexpr unsigned int REACHES = 1u << 31;        // a pixel reaches its threshold
constexpr unsigned int BESIDE_MASKED = 1u << 30;  // a pixel is beside a masked one
constexpr unsigned int EVENT = 1u << 29;          // for spectra.cu: this hit has become an event
constexpr unsigned int SIZE = EVENT - 1;

using Adu = unsigned short;
using Count = unsigned long long;

// The hits of one frame, in row-major order.
struct Hits {
    int n;
    int* pixel;             // later, of an event: the pixel it is booked on
    float* value;           // ADU; later, of an event: keV
    int* root;              // of a cluster: its first hit
    unsigned int* cluster;  // see above
};

struct Modules {
    int frame_columns, rows, columns;
    bool diagonal;  // whether pixels that share a corner are neighbours
};

struct Calibration {
    const float4* of_pixel;  // pedestal, gradient, intercept; the fourth is not used here
    bool dither;
    unsigned long long dither_state;  // of this frame
};

struct Policy {
    int max_cluster;
    bool every_hit;
    const float* charge_loss;
    int n_nodes;  // of charge_loss; 0: none is applied
};

// SplitMix64: Steele, Lea and Flood, OOPSLA 2014, figure 16.
__device__ unsigned long long mix(unsigned long long z)
{
    z += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

// Each operation rounded to float32, left to right.
__device__ float energy_kev(float adu, float4 pixel)
{
    return __fadd_rn(__fmul_rn(__fsub_rn(adu, pixel.x), pixel.y), pixel.z);
}

// The energy to book: dithered, if that is wanted.
__device__ float booked_kev(float adu, int pixel, const Calibration& calibration)
{
    if (calibration.dither) {
        const unsigned long long bits = mix(calibration.dither_state + pixel) >> 40;
        const float scaled = __fmul_rn(static_cast<float>(bits), 1.0f / (1 << 24));
        adu = __fadd_rn(adu, __fsub_rn(scaled, 0.5f));
    }
    return energy_kev(adu, calibration.of_pixel[pixel]);
}

// Volatile: other lanes unite clusters meanwhile.
__device__ int find_root(const volatile int* root, int i)
{
    for (int next = root[i]; next != i; next = root[i]) i = next;
    return i;
}

// Join the clusters of two hits under the earlier root.
__device__ void unite(int* root, int i, int j)
{
    while (true) {
        i = find_root(root, i);
        j = find_root(root, j);
        if (i == j) return;
        const int late = max(i, j), early = min(i, j);
        const int was = atomicMin(&root[late], early);
        if (was == late) return;
        i = was;  // another lane hung it elsewhere: both places are one cluster
        j = early;
    }
}

// First of the hits before i whose pixel is first or later.
__device__ int search(const int* pixel, int first, int i)
{
    int low = 0, high = i;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (pixel[middle] < first) low = middle + 1;
        else high = middle;
    }
    return low;
}

// Set the root of each hit: union-find over the neighbours that come earlier.
__device__ void link_clusters(const Hits& hits, const Modules& modules)
{
    const int lane = threadIdx.x % WARP;
    for (int i = lane; i < hits.n; i += WARP) {
        hits.root[i] = i;
        hits.cluster[i] = 0;
    }
    __syncwarp();
    for (int i = lane; i < hits.n; i += WARP) {
        const int pixel = hits.pixel[i];
        const int row = pixel / modules.frame_columns, column = pixel % modules.frame_columns;
        const bool has_left = column % modules.columns != 0;
        const bool has_right = (column + 1) % modules.columns != 0;
        if (has_left && i > 0 && hits.pixel[i - 1] == pixel - 1) unite(hits.root, i, i - 1);
        if (row % modules.rows == 0) continue;
        const int above = pixel - modules.frame_columns;
        const int last = above + (modules.diagonal && has_right);
        int j = search(hits.pixel, above - (modules.diagonal && has_left), i);
        for (; j < i && hits.pixel[j] <= last; ++j) unite(hits.root, i, j);
    }
    __syncwarp();
}

// Size of each cluster, and whether a pixel of it reaches its threshold or is beside a masked one.
__device__ void measure_clusters(
    const Hits& hits, const Adu* __restrict__ qualify_adu, const bool* __restrict__ beside_masked)
{
    for (int i = threadIdx.x % WARP; i < hits.n; i += WARP) {
        const int pixel = hits.pixel[i];
        const int k = find_root(hits.root, i);
        hits.root[i] = k;
        unsigned int bits = beside_masked[pixel] ? BESIDE_MASKED : 0;
        if (hits.value[i] > qualify_adu[pixel]) bits |= REACHES;
        atomicAdd(&hits.cluster[k], 1u);
        atomicOr(&hits.cluster[k], bits);
    }
    __syncwarp();
}

// Factor on the sum of two pixels at R = (first - second) / sum, between nodes from -1 to 1.
__device__ float charge_loss_factor(float first, float second, float sum, const Policy& policy)
{
    const float last = static_cast<float>(policy.n_nodes - 1);
    const float ratio = __fdiv_rn(__fsub_rn(first, second), sum);
    float position = __fmul_rn(__fadd_rn(ratio, 1.0f), __fmul_rn(last, 0.5f));
    position = position > 0 ? fminf(position, last) : 0;  // NaN is taken as -1
    const int node = min(static_cast<int>(position), policy.n_nodes - 2);
    const float low = policy.charge_loss[node], high = policy.charge_loss[node + 1];
    const float part = __fsub_rn(position, static_cast<float>(node));
    return __fadd_rn(low, __fmul_rn(part, __fsub_rn(high, low)));
}

// Make the root of a cluster an event: the sum in row-major order, on the largest pixel.
__device__ void add_up(
    const Hits& hits, int k, int size, const Calibration& calibration, const Policy& policy)
{
    const int first_pixel = hits.pixel[k];
    const float first = booked_kev(hits.value[k], first_pixel, calibration);
    float largest = energy_kev(hits.value[k], calibration.of_pixel[first_pixel]);
    float sum = first, latest = first;
    int pixel = first_pixel;
    for (int j = k + 1, n_left = size - 1; n_left > 0; ++j) {
        if (hits.root[j] != k) continue;
        const float energy = energy_kev(hits.value[j], calibration.of_pixel[hits.pixel[j]]);
        latest = booked_kev(hits.value[j], hits.pixel[j], calibration);
        sum = __fadd_rn(sum, latest);
        if (energy > largest) {
            largest = energy;
            pixel = hits.pixel[j];
        }
        --n_left;
    }
    if (size == 2 && policy.n_nodes) {
        sum = __fmul_rn(sum, charge_loss_factor(first, latest, sum, policy));
    }
    hits.pixel[k] = pixel;
    hits.value[k] = sum;
}

// Turn clusters into events, or drop them. The root speaks for its cluster, or each hit for itself.
__device__ void judge_clusters(
    const Hits& hits, const Calibration& calibration, const Policy& policy,
    unsigned int* sizes, unsigned int* fates)
{
    for (int i = threadIdx.x % WARP; i < hits.n; i += WARP) {
        const int k = hits.root[i];
        if (k != i && !policy.every_hit) continue;
        // Volatile: the root's lane may add EVENT meanwhile, which nobody here looks at.
        const unsigned int cluster = const_cast<const volatile unsigned int*>(hits.cluster)[k];
        const int size = cluster & SIZE;
        const int n_hits = policy.every_hit ? 1 : size;
        if (k == i && cluster & REACHES) atomicAdd(&sizes[min(size, N_SIZES) - 1], 1u);
        if (!(cluster & REACHES)) {
            atomicAdd(&fates[BELOW_THRESHOLD], n_hits);
        } else if (cluster & BESIDE_MASKED) {
            atomicAdd(&fates[VETOED], n_hits);
        } else if (size > policy.max_cluster) {
            atomicAdd(&fates[TOO_LARGE], n_hits);
        } else {
            add_up(hits, i, n_hits, calibration, policy);
            hits.cluster[i] = cluster | EVENT;
        }
    }
}

// n_hits: (frames,); pixel, value, root, cluster: (frames, pixels); charge_loss: (nodes,);
// calibration: (pixels, 4); qualify_adu, beside_masked: (pixels,); sizes: (5,); fates: (7,).
extern "C" __global__ void find_events(
    int n_frames, unsigned long long first_frame, int n_pixels, const int* __restrict__ n_hits,
    int* pixel, float* value, int* root, unsigned int* cluster, int columns, int module_rows,
    int module_columns, int diagonal, int max_cluster, int every_hit, int dither,
    unsigned long long dither_seed, int n_nodes, const float* __restrict__ charge_loss,
    const float4* __restrict__ calibration, const Adu* __restrict__ qualify_adu,
    const bool* __restrict__ beside_masked, Count* sizes, Count* fates)
{
    __shared__ unsigned int counts[N_SIZES + N_FATES];  // of this block, to spare the one in memory
    for (int i = threadIdx.x; i < N_SIZES + N_FATES; i += blockDim.x) counts[i] = 0;
    __syncthreads();
    const int frame = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (frame < n_frames) {
        const size_t at = static_cast<size_t>(frame) * n_pixels;
        const Hits hits = {n_hits[frame], pixel + at, value + at, root + at, cluster + at};
        const unsigned long long state = dither ? mix(mix(dither_seed) + first_frame + frame) : 0;
        const Calibration of_frame = {calibration, dither != 0, state};
        link_clusters(hits, {columns, module_rows, module_columns, diagonal != 0});
        measure_clusters(hits, qualify_adu, beside_masked);
        judge_clusters(
            hits, of_frame, {max_cluster, every_hit != 0, charge_loss, n_nodes}, counts,
            counts + N_SIZES);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < N_SIZES + N_FATES; i += blockDim.x) {
        Count* total = i < N_SIZES ? &sizes[i] : &fates[i - N_SIZES];
        if (counts[i]) atomicAdd(total, Count(counts[i]));
    }
}
