// The facility's chain as a comparator, written for this purpose: float convert, threshold in ADU,
// calibrate, charge-sharing addition in place over 3x3 neighbours, one histogram per pixel.
//
// Its counts differ from hexlive's on purpose: the scan changes the frame that it reads.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

void threshold_and_calibrate(const uint16_t *adu, float *energy_kev, size_t n_pixels,
                             float threshold_adu, const float *gradient, const float *intercept) {
    for (size_t p = 0; p < n_pixels; ++p) {
        float value = adu[p];
        if (value < threshold_adu) value = 0;
        energy_kev[p] = value > 0 ? value * gradient[p] + intercept[p] : 0;
    }
}

// The running sum stays with the largest pixel met so far; ties go to the later one.
void add_shared_charge(float *energy_kev, int rows, int columns) {
    for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column) {
            float *largest = energy_kev + row * columns + column;
            if (*largest == 0) continue;
            for (int r = row > 0 ? row - 1 : 0; r <= row + 1 && r < rows; ++r) {
                for (int c = column > 0 ? column - 1 : 0; c <= column + 1 && c < columns; ++c) {
                    float *other = energy_kev + r * columns + c;
                    if (other == largest || *other == 0) continue;
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
    }
}

void fill_histograms(const float *energy_kev, size_t n_pixels, int n_bins, float bin_kev,
                     uint32_t *spectra) {
    for (size_t p = 0; p < n_pixels; ++p) {
        if (energy_kev[p] <= 0) continue;
        const int bin = static_cast<int>(energy_kev[p] / bin_kev);
        if (bin < n_bins) ++spectra[p * n_bins + bin];
    }
}

}  // namespace

extern "C" void count_frames(const uint16_t *frames, size_t n_frames, int rows, int columns,
                             float threshold_adu, const float *gradient, const float *intercept,
                             int n_bins, float bin_kev, uint32_t *spectra) {
    const size_t n_pixels = static_cast<size_t>(rows) * columns;
    std::vector<float> energy_kev(n_pixels);
    for (size_t i = 0; i < n_frames; ++i) {
        threshold_and_calibrate(frames + i * n_pixels, energy_kev.data(), n_pixels, threshold_adu,
                                gradient, intercept);
        add_shared_charge(energy_kev.data(), rows, columns);
        fill_histograms(energy_kev.data(), n_pixels, n_bins, bin_kev, spectra);
    }
}
