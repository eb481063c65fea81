// The facility's chain as a comparator, written for this purpose from what its plugins do to a
// frame, in their order: convert to float, threshold in ADU, calibrate, add (or discard) shared
// charge, fill the histograms. One thread, one frame at a time, as there.
//
// Kept, because it is the facility's algorithm: every step is a pass of its own over the float
// frame; the 3x3 scan works in place on a copy with an empty border, made anew for each frame; the
// per-pixel counters are float and a spectrum of the whole frame is filled beside them; the bin
// width is a double. The scan changes the frame that it reads, so the counts differ from hexlive's
// on purpose wherever clusters meet.
//
// In the facility's favour: the float frame is reused and stays in the cache (there, it comes from
// a pool and is handed from plugin to plugin), one threshold instead of one per pixel, the size of
// the neighbourhood is known to the compiler, and there are no locks, logs, headers and metadata.
// Mended: an energy at the end of the axis is left out instead of counted in the next pixel.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int REACH = 1;  // of a 3x3 neighbourhood

enum Sharing { NONE, ADDITION, DISCRIMINATION };

void convert(const uint16_t *adu, float *frame, size_t n_pixels) {
    for (size_t p = 0; p < n_pixels; ++p) frame[p] = adu[p];
}

void threshold(float *frame, size_t n_pixels, int threshold_adu) {
    for (size_t p = 0; p < n_pixels; ++p)
        if (frame[p] < threshold_adu) frame[p] = 0;
}

void calibrate(float *frame, size_t n_pixels, const float *gradient, const float *intercept) {
    for (size_t p = 0; p < n_pixels; ++p)
        if (frame[p] > 0) frame[p] = frame[p] * gradient[p] + intercept[p];
}

// The running sum stays with the largest pixel met so far; ties go to the later one.
void add_to_largest(float *pixel, int stride) {
    float *largest = pixel;
    for (int row = -REACH; row <= REACH; ++row) {
        for (int column = -REACH; column <= REACH; ++column) {
            float *other = pixel + row * stride + column;
            if (other == pixel || !(*other > 0)) continue;
            if (*other >= *largest) {
                *other += *largest;
                *largest = 0;
                largest = other;
            } else {
                *largest += *other;
                *other = 0;
            }
        }
    }
}

// A pixel with a neighbour goes, and from the first neighbour on the neighbours go with it.
void discard_neighbours(float *pixel, int stride) {
    bool shared = false;
    for (int row = -REACH; row <= REACH; ++row) {
        for (int column = -REACH; column <= REACH; ++column) {
            float *other = pixel + row * stride + column;
            if (other == pixel) continue;
            if (*other > 0) shared = true;
            if (shared) *other = *pixel = 0;
        }
    }
}

template <void (*resolve)(float *pixel, int stride)>
void scan_neighbourhoods(float *frame, int rows, int columns) {
    const int stride = columns + 2 * REACH;
    std::vector<float> bordered(static_cast<size_t>(rows + 2 * REACH) * stride);
    float *first = bordered.data() + REACH * stride + REACH;
    for (int row = 0; row < rows; ++row)
        std::memcpy(first + row * stride, frame + row * columns, columns * sizeof(float));
    float *end = first + (rows - 1) * stride + columns;
    for (float *pixel = first; pixel < end; ++pixel)
        if (*pixel > 0) resolve(pixel, stride);
    for (int row = 0; row < rows; ++row)
        std::memcpy(frame + row * columns, first + row * stride, columns * sizeof(float));
}

void share(float *frame, int rows, int columns, Sharing sharing) {
    if (sharing == ADDITION) scan_neighbourhoods<add_to_largest>(frame, rows, columns);
    if (sharing == DISCRIMINATION) scan_neighbourhoods<discard_neighbours>(frame, rows, columns);
}

void fill_histograms(const float *frame, size_t n_pixels, int n_bins, double bin_kev,
                     float *spectra, uint64_t *summed) {
    for (size_t p = 0; p < n_pixels; ++p) {
        if (frame[p] <= 0) continue;
        const int bin = static_cast<int>(frame[p] / bin_kev);
        if (bin >= n_bins) continue;
        spectra[p * n_bins + bin]++;
        summed[bin]++;
    }
}

}  // namespace

extern "C" void count_frames(const uint16_t *frames, size_t n_frames, int rows, int columns,
                             int threshold_adu, const float *gradient, const float *intercept,
                             int sharing, int n_bins, double bin_kev, float *spectra,
                             uint64_t *summed) {
    const size_t n_pixels = static_cast<size_t>(rows) * columns;
    std::vector<float> frame(n_pixels);
    for (size_t i = 0; i < n_frames; ++i) {
        convert(frames + i * n_pixels, frame.data(), n_pixels);
        threshold(frame.data(), n_pixels, threshold_adu);
        calibrate(frame.data(), n_pixels, gradient, intercept);
        share(frame.data(), rows, columns, static_cast<Sharing>(sharing));
        fill_histograms(frame.data(), n_pixels, n_bins, bin_kev, spectra, summed);
    }
}
