// The kernels for NVIDIA's cards.
//
// One source, three compilers: NVRTC at run time (module.rs), nvcc in `cargo xtask kernels`, g++ behind tests/kernels_on_host/shim.h in
// tests/kernels_on_host. They define Real, the element type (float or double), and BLOCK and RUN (launch/mod.rs, the one place
// for launch shapes). No header is included, and nothing but what the shim has is used.
//
// Maps are (B, C, H, W), contiguous; a plane is one channel of one picture. Every block has BLOCK threads or, for rows, a smaller
// power of two. Sums of many values are runs in Real that are joined in double, in an order that depends on sizes alone: no atomics,
// so that two runs give the same bits. Indices are int: launch/mod.rs refuses what they can't hold.

#define KERNEL extern "C" __global__ void __launch_bounds__(BLOCK)
// Values that a block handles in the kernels that go value by value, and in those that go channel by channel.
#define TILE (BLOCK * RUN)
#define PART (BLOCK * 16)

// The block's share of n values: each thread takes every BLOCK-th one.
#define EACH(i, n)                                                                             \
    for (int i = (int)(blockIdx.x * TILE + threadIdx.x), past_##i = (int)(blockIdx.x * TILE) + TILE; \
         i < past_##i && i < (n); i += BLOCK)

// Sum over the block's threads, which all get it.
__device__ double block_sum(double value) {
    __shared__ double sums[BLOCK];
    sums[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    double sum = sums[0];
    __syncthreads();
    return sum;
}

// ---------------------------------------------------------------------------------------------------------------- value by value

// NaN stays NaN.
__device__ Real limit(Real x, Real low, Real high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

KERNEL limited(const Real* __restrict__ x, Real low, Real high, Real* __restrict__ y, int n) {
    EACH(i, n) y[i] = limit(x[i], low, high);
}

// The output tells where it was cut off: there the gradient is 0.
KERNEL limited_gradient(const Real* __restrict__ y, const Real* __restrict__ g, Real low, Real high, Real* __restrict__ dx, int n) {
    EACH(i, n) dx[i] = y[i] <= low || y[i] >= high ? (Real)0 : g[i];
}

KERNEL add_limited(const Real* __restrict__ a, const Real* __restrict__ b, Real low, Real high, Real* __restrict__ y, int n) {
    EACH(i, n) y[i] = limit(a[i] + b[i], low, high);
}

// Probability that a normally distributed value is below x.
__device__ Real normal_below(Real x) { return (Real)0.5 * erfc(x * (Real)-0.70710678118654752440); }

KERNEL gelu(const Real* __restrict__ x, Real* __restrict__ y, int n) {
    EACH(i, n) y[i] = x[i] * normal_below(x[i]);
}

KERNEL gelu_gradient(const Real* __restrict__ x, const Real* __restrict__ g, Real* __restrict__ dx, int n) {
    EACH(i, n) {
        Real v = x[i], density = exp((Real)-0.5 * v * v) * (Real)0.39894228040143267794;
        dx[i] = g[i] * (normal_below(v) + v * density);
    }
}

// ------------------------------------------------------------------------------------------------------- batch normalisation

// Where a channel's values lie: the i-th one, for i rising by BLOCK.
struct Channel {
    int picture, pixel, pixels, stride, first, pictures_step, pixels_step;

    // `stride` lies between a channel's planes.
    __device__ Channel(int i, int channel, int channels, int pixels)
        : picture(i / pixels), pixel(i % pixels), pixels(pixels), stride(channels * pixels), first(channel * pixels),
          pictures_step(BLOCK / pixels), pixels_step(BLOCK % pixels) {}

    __device__ int at() const { return picture * stride + first + pixel; }

    __device__ void next() {
        picture += pictures_step;
        pixel += pixels_step;
        if (pixel >= pixels) {
            pixel -= pixels;
            picture += 1;
        }
    }
};

// Block (part, channel): mean and sum of squared deviations of PART of the channel's `count` values.
KERNEL moments(const Real* __restrict__ x, int channels, int pixels, int count, double* __restrict__ means,
               double* __restrict__ squares) {
    int start = blockIdx.x * PART, past = min(start + PART, count), channel = blockIdx.y;
    Real sum = 0;
    Channel walk(start + threadIdx.x, channel, channels, pixels);
    for (int i = start + threadIdx.x; i < past; i += BLOCK, walk.next()) sum += x[walk.at()];
    double mean = block_sum(sum) / (past - start);
    // The mean of the part, rounded, is as good: what matters is that the deviations are small.
    Real typed = (Real)mean, square = 0, rest = 0;
    walk = Channel(start + threadIdx.x, channel, channels, pixels);
    for (int i = start + threadIdx.x; i < past; i += BLOCK, walk.next()) {
        Real deviation = x[walk.at()] - typed;
        square += deviation * deviation;
        rest += deviation;
    }
    double total = block_sum(square), shift = block_sum(rest) / (past - start);
    if (threadIdx.x == 0) {
        means[channel * gridDim.x + blockIdx.x] = typed + shift;
        squares[channel * gridDim.x + blockIdx.x] = total - shift * shift * (past - start);
    }
}

// Count, mean and squared deviations of some values, joined by the formula of Chan, Golub and LeVeque (1979).
struct Joined {
    double count, mean, squares;

    __device__ void add(double more_count, double more_mean, double more_squares) {
        if (more_count == 0) return;
        double all = count + more_count, delta = more_mean - mean;
        mean += delta * (more_count / all);
        squares += more_squares + delta * delta * (count * more_count / all);
        count = all;
    }
};

// Block `channel`: mean, biased variance and 1 / sqrt(variance + eps).
KERNEL join_moments(const double* __restrict__ means, const double* __restrict__ squares, int parts, int count, double eps,
                    Real* __restrict__ mean, Real* __restrict__ variance, Real* __restrict__ rstd) {
    __shared__ Joined all[BLOCK];
    Joined mine = {0, 0, 0};
    for (int part = threadIdx.x; part < parts; part += BLOCK) {
        int at = blockIdx.x * parts + part;
        mine.add(min(PART, count - part * PART), means[at], squares[at]);
    }
    all[threadIdx.x] = mine;
    __syncthreads();
    for (unsigned half = BLOCK / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            Joined other = all[threadIdx.x + half];
            all[threadIdx.x].add(other.count, other.mean, other.squares);
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) {
        double var = all[0].squares / count;
        mean[blockIdx.x] = (Real)all[0].mean;
        variance[blockIdx.x] = (Real)var;
        rstd[blockIdx.x] = (Real)(1 / sqrt(var + eps));
    }
}

KERNEL reciprocal_deviation(const Real* __restrict__ variance, double eps, Real* __restrict__ rstd, int n) {
    EACH(i, n) rstd[i] = (Real)(1 / sqrt((double)variance[i] + eps));
}

// Normalisation and activation of a channel.
struct Norm {
    const Real *mean, *rstd, *gamma, *beta;
    Real low, high;

    __device__ Real before(Real x, int c) const { return (x - mean[c]) * (gamma[c] * rstd[c]) + beta[c]; }

    // The gradient before the activation, from that after it.
    __device__ Real gradient(Real g, Real x, int c) const {
        Real y = before(x, c);
        return y > low && y < high ? g : (Real)0;
    }
};

#define NORM                                                                                                      \
    const Real *__restrict__ mean, const Real *__restrict__ rstd, const Real *__restrict__ gamma,                  \
        const Real *__restrict__ beta, Real low, Real high
#define NORM_OF {mean, rstd, gamma, beta, low, high}

KERNEL normalise(const Real* __restrict__ x, NORM, int channels, int pixels, Real* __restrict__ y, int n) {
    Norm norm = NORM_OF;
    EACH(i, n) y[i] = limit(norm.before(x[i], i / pixels % channels), low, high);
}

// Block (part, channel): sums of the gradient and of the gradient times x - mean.
KERNEL normalise_sums(const Real* __restrict__ x, const Real* __restrict__ g, NORM, int channels, int pixels, int count,
                      double* __restrict__ plain, double* __restrict__ along) {
    Norm norm = NORM_OF;
    int start = blockIdx.x * PART, past = min(start + PART, count), channel = blockIdx.y;
    Real sum = 0, product = 0;
    Channel walk(start + threadIdx.x, channel, channels, pixels);
    for (int i = start + threadIdx.x; i < past; i += BLOCK, walk.next()) {
        Real value = x[walk.at()], gradient = norm.gradient(g[walk.at()], value, channel);
        sum += gradient;
        product += gradient * (value - mean[channel]);
    }
    double sums = block_sum(sum), products = block_sum(product);
    if (threadIdx.x == 0) {
        plain[channel * gridDim.x + blockIdx.x] = sums;
        along[channel * gridDim.x + blockIdx.x] = products;
    }
}

// Block `channel`: the gradients of gamma and beta, and how the gradient of x depends on x where the statistics are the batch's:
// gamma * rstd * (g - mean(g) - n * mean(g * n)), n being normalised x, is g * scale + (x - mean) * slope + offset.
KERNEL join_sums(const double* __restrict__ plain, const double* __restrict__ along, int parts, int count,
                 const Real* __restrict__ rstd, const Real* __restrict__ gamma, Real* __restrict__ dgamma,
                 Real* __restrict__ dbeta, Real* __restrict__ slope, Real* __restrict__ offset) {
    double sum = 0, product = 0;
    for (int part = threadIdx.x; part < parts; part += BLOCK) {
        sum += plain[blockIdx.x * parts + part];
        product += along[blockIdx.x * parts + part];
    }
    sum = block_sum(sum);
    product = block_sum(product);
    if (threadIdx.x == 0) {
        double deviation = rstd[blockIdx.x], scale = gamma[blockIdx.x] * deviation;
        dgamma[blockIdx.x] = (Real)(product * deviation);
        dbeta[blockIdx.x] = (Real)sum;
        slope[blockIdx.x] = (Real)(-scale * product * deviation * deviation / count);
        offset[blockIdx.x] = (Real)(-scale * sum / count);
    }
}

// Without `slope` and `offset`, the statistics are constants.
KERNEL normalise_gradient(const Real* __restrict__ x, const Real* __restrict__ g, NORM, const Real* __restrict__ slope,
                          const Real* __restrict__ offset, int channels, int pixels, Real* __restrict__ dx, int n) {
    Norm norm = NORM_OF;
    EACH(i, n) {
        int c = i / pixels % channels;
        Real d = norm.gradient(g[i], x[i], c) * (gamma[c] * rstd[c]);
        dx[i] = slope ? d + ((x[i] - mean[c]) * slope[c] + offset[c]) : d;
    }
}

// ------------------------------------------------------------------------------------------------------------ rows, block by block

KERNEL layer_norm(const Real* __restrict__ x, const Real* __restrict__ gamma, const Real* __restrict__ beta, double eps,
                  int width, Real* __restrict__ y, Real* __restrict__ mean, Real* __restrict__ rstd) {
    x += (long long)blockIdx.x * width;
    y += (long long)blockIdx.x * width;
    Real sum = 0, square = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) sum += x[i];
    Real middle = (Real)(block_sum(sum) / width);
    for (int i = threadIdx.x; i < width; i += blockDim.x) square += (x[i] - middle) * (x[i] - middle);
    Real scale = (Real)(1 / sqrt(block_sum(square) / width + eps));
    for (int i = threadIdx.x; i < width; i += blockDim.x) y[i] = (x[i] - middle) * scale * gamma[i] + beta[i];
    if (threadIdx.x == 0) {
        mean[blockIdx.x] = middle;
        rstd[blockIdx.x] = scale;
    }
}

// With n the normalised row and h = g * gamma: rstd * (h - mean(h) - n * mean(h * n)).
KERNEL layer_norm_gradient(const Real* __restrict__ x, const Real* __restrict__ g, const Real* __restrict__ gamma,
                           const Real* __restrict__ mean, const Real* __restrict__ rstd, int width, Real* __restrict__ dx) {
    x += (long long)blockIdx.x * width;
    g += (long long)blockIdx.x * width;
    dx += (long long)blockIdx.x * width;
    Real middle = mean[blockIdx.x], scale = rstd[blockIdx.x], sum = 0, product = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        Real h = g[i] * gamma[i];
        sum += h;
        product += h * (x[i] - middle);
    }
    Real plain = (Real)(block_sum(sum) / width), along = (Real)(block_sum(product) / width * scale * scale);
    for (int i = threadIdx.x; i < width; i += blockDim.x)
        dx[i] = scale * (g[i] * gamma[i] - plain - (x[i] - middle) * along);
}

// Block (columns, part): over `rows` of the `count` rows, what each column adds to the gradients of gamma and beta. A part's sums are
// those of gamma, then those of beta.
KERNEL layer_norm_sums(const Real* __restrict__ x, const Real* __restrict__ g, const Real* __restrict__ mean,
                       const Real* __restrict__ rstd, int width, int rows, int count, Real* __restrict__ parts) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, start = blockIdx.y * rows;
    if (column >= width) return;
    Real scaled = 0, plain = 0;
    for (int row = start; row < min(start + rows, count); row += 1) {
        long long at = (long long)row * width + column;
        scaled += g[at] * (x[at] - mean[row]) * rstd[row];
        plain += g[at];
    }
    Real* mine = parts + (long long)blockIdx.y * 2 * width;
    mine[column] = scaled;
    mine[width + column] = plain;
}

// The sums of `parts` times n values over the parts, in their order.
KERNEL sum_parts(const Real* __restrict__ values, int parts, Real* __restrict__ sums, int n) {
    EACH(i, n) {
        double sum = 0;
        for (int part = 0; part < parts; part += 1) sum += values[(long long)part * n + i];
        sums[i] = (Real)sum;
    }
}

// The row's largest value; NaN never is.
__device__ Real block_largest(const Real* x, int width) {
    __shared__ Real values[BLOCK];
    Real largest = x[0];
    for (int i = threadIdx.x; i < width; i += blockDim.x) largest = x[i] > largest ? x[i] : largest;
    values[threadIdx.x] = largest;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half && values[threadIdx.x + half] > values[threadIdx.x])
            values[threadIdx.x] = values[threadIdx.x + half];
        __syncthreads();
    }
    return values[0];
}

KERNEL softmax(const Real* __restrict__ x, int width, Real* __restrict__ y) {
    x += (long long)blockIdx.x * width;
    y += (long long)blockIdx.x * width;
    Real largest = block_largest(x, width), sum = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        y[i] = exp(x[i] - largest);
        sum += y[i];
    }
    Real scale = (Real)(1 / block_sum(sum));
    for (int i = threadIdx.x; i < width; i += blockDim.x) y[i] *= scale;
}

KERNEL softmax_gradient(const Real* __restrict__ y, const Real* __restrict__ g, int width, Real* __restrict__ dx) {
    y += (long long)blockIdx.x * width;
    g += (long long)blockIdx.x * width;
    dx += (long long)blockIdx.x * width;
    Real sum = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) sum += y[i] * g[i];
    Real along = (Real)block_sum(sum);
    for (int i = threadIdx.x; i < width; i += blockDim.x) dx[i] = y[i] * (g[i] - along);
}

KERNEL log_softmax(const Real* __restrict__ x, int width, Real* __restrict__ y) {
    x += (long long)blockIdx.x * width;
    y += (long long)blockIdx.x * width;
    Real largest = block_largest(x, width), sum = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) sum += exp(x[i] - largest);
    Real log_sum = (Real)log(block_sum(sum));
    for (int i = threadIdx.x; i < width; i += blockDim.x) y[i] = x[i] - largest - log_sum;
}

KERNEL log_softmax_gradient(const Real* __restrict__ y, const Real* __restrict__ g, int width, Real* __restrict__ dx) {
    y += (long long)blockIdx.x * width;
    g += (long long)blockIdx.x * width;
    dx += (long long)blockIdx.x * width;
    Real sum = 0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) sum += g[i];
    Real all = (Real)block_sum(sum);
    for (int i = threadIdx.x; i < width; i += blockDim.x) dx[i] = g[i] - exp(y[i]) * all;
}

// ------------------------------------------------------------------------------------------------------------------ windows

// Kernel, step, distance between taps, zeros before, input and output along one axis.
struct Axis {
    int kernel, stride, dilation, padding, input, output;

    // The input under a tap of an output, outside of the map or not.
    __device__ int under(int output, int tap) const { return output * stride + tap * dilation - padding; }

    // The output whose tap lies on an input; -1 if none does.
    __device__ int over(int input, int tap) const {
        int steps = input + padding - tap * dilation;
        if (steps < 0 || (stride > 1 && steps % stride != 0)) return -1;
        steps = stride > 1 ? steps / stride : steps;
        return steps < output ? steps : -1;
    }
};

#define AXIS(a) int a##_kernel, int a##_stride, int a##_dilation, int a##_padding, int a##_input, int a##_output
#define AXES AXIS(row), AXIS(column)
#define AXIS_OF(a) {a##_kernel, a##_stride, a##_dilation, a##_padding, a##_input, a##_output}

// The largest value of each window and its place in it, in reading order. Of equal values the first wins, and NaN before all.
KERNEL max_pool(const Real* __restrict__ x, AXES, Real* __restrict__ y, unsigned short* __restrict__ winners, int n) {
    Axis rows = AXIS_OF(row), columns = AXIS_OF(column);
    EACH(i, n) {
        int column = i % columns.output, row = i / columns.output % rows.output;
        const Real* plane = x + (long long)(i / columns.output / rows.output) * rows.input * columns.input;
        int top = row * rows.stride - rows.padding, left = column * columns.stride - columns.padding;
        int past_row = min(top + rows.kernel, rows.input), past_column = min(left + columns.kernel, columns.input);
        Real largest = 0;
        int winner = -1;
        for (int iy = max(top, 0); iy < past_row; iy += 1)
            for (int ix = max(left, 0); ix < past_column; ix += 1) {
                Real value = plane[iy * columns.input + ix];
                if (winner < 0 || value > largest || value != value) {
                    largest = value;
                    winner = (iy - top) * columns.kernel + ix - left;
                }
            }
        y[i] = largest;
        winners[i] = (unsigned short)winner;
    }
}

// Each input takes the gradients of the windows that it won.
KERNEL max_pool_gradient(const unsigned short* __restrict__ winners, const Real* __restrict__ g, AXES, Real* __restrict__ dx,
                         int n) {
    Axis rows = AXIS_OF(row), columns = AXIS_OF(column);
    EACH(i, n) {
        int ix = i % columns.input, iy = i / columns.input % rows.input;
        long long plane = (long long)(i / columns.input / rows.input) * rows.output * columns.output;
        Real sum = 0;
        // The last tap lies on the first window.
        for (int ky = rows.kernel - 1; ky >= 0; ky -= 1) {
            int row = rows.over(iy, ky);
            if (row < 0) continue;
            for (int kx = columns.kernel - 1; kx >= 0; kx -= 1) {
                int column = columns.over(ix, kx);
                if (column < 0) continue;
                long long at = plane + row * columns.output + column;
                if (winners[at] == ky * columns.kernel + kx) sum += g[at];
            }
        }
        dx[i] = sum;
    }
}

KERNEL depthwise(const Real* __restrict__ x, const Real* __restrict__ weight, AXES, int channels, Real* __restrict__ y, int n) {
    Axis rows = AXIS_OF(row), columns = AXIS_OF(column);
    EACH(i, n) {
        int column = i % columns.output, row = i / columns.output % rows.output, plane = i / columns.output / rows.output;
        const Real* from = x + (long long)plane * rows.input * columns.input;
        const Real* taps = weight + plane % channels * rows.kernel * columns.kernel;
        Real sum = 0;
        for (int ky = 0; ky < rows.kernel; ky += 1) {
            int iy = rows.under(row, ky);
            if (iy < 0 || iy >= rows.input) continue;
            for (int kx = 0; kx < columns.kernel; kx += 1) {
                int ix = columns.under(column, kx);
                if (ix < 0 || ix >= columns.input) continue;
                sum += from[iy * columns.input + ix] * taps[ky * columns.kernel + kx];
            }
        }
        y[i] = sum;
    }
}

KERNEL depthwise_input(const Real* __restrict__ g, const Real* __restrict__ weight, AXES, int channels, Real* __restrict__ dx,
                       int n) {
    Axis rows = AXIS_OF(row), columns = AXIS_OF(column);
    EACH(i, n) {
        int ix = i % columns.input, iy = i / columns.input % rows.input, plane = i / columns.input / rows.input;
        const Real* from = g + (long long)plane * rows.output * columns.output;
        const Real* taps = weight + plane % channels * rows.kernel * columns.kernel;
        Real sum = 0;
        for (int ky = 0; ky < rows.kernel; ky += 1) {
            int row = rows.over(iy, ky);
            if (row < 0) continue;
            for (int kx = 0; kx < columns.kernel; kx += 1) {
                int column = columns.over(ix, kx);
                if (column >= 0) sum += from[row * columns.output + column] * taps[ky * columns.kernel + kx];
            }
        }
        dx[i] = sum;
    }
}

// Taps of one row that a thread of `depthwise_weight` adds up, so that it reads a gradient once for all of them.
#define TAPS 8

// Block (part, TAPS of a row of a channel's kernel): over `length` of the channel's `count` outputs, what each tap's weight gets.
KERNEL depthwise_weight(const Real* __restrict__ x, const Real* __restrict__ g, AXES, int channels, int length, int count,
                        Real* __restrict__ parts) {
    Axis rows = AXIS_OF(row), columns = AXIS_OF(column);
    int groups = (columns.kernel + TAPS - 1) / TAPS;
    int first = blockIdx.y % groups * TAPS, ky = blockIdx.y / groups % rows.kernel, channel = blockIdx.y / groups / rows.kernel;
    int start = blockIdx.x * length, past = min(start + length, count);
    Real sums[TAPS] = {};
    for (int i = start + threadIdx.x; i < past; i += BLOCK) {
        int column = i % columns.output, row = i / columns.output % rows.output, iy = rows.under(row, ky);
        if (iy < 0 || iy >= rows.input) continue;
        long long plane = (long long)(i / columns.output / rows.output) * channels + channel;
        Real gradient = g[(plane * rows.output + row) * columns.output + column];
        const Real* from = x + (plane * rows.input + iy) * columns.input;
#pragma unroll
        for (int tap = 0; tap < TAPS; tap += 1) {
            int ix = columns.under(column, first + tap);
            if (first + tap < columns.kernel && ix >= 0 && ix < columns.input) sums[tap] += gradient * from[ix];
        }
    }
    long long at = ((long long)blockIdx.x * channels + channel) * rows.kernel * columns.kernel + ky * columns.kernel + first;
#pragma unroll
    for (int tap = 0; tap < TAPS; tap += 1) {
        double sum = block_sum(sums[tap]);
        if (threadIdx.x == 0 && first + tap < columns.kernel) parts[at + tap] = (Real)sum;
    }
}

// ------------------------------------------------------------------------------------------------------------ pictures of pictures

// y[i, j] = sum over (k, l) of rows[i, k] * columns[j, l] * x[k, l], of every plane: resizing and mean pooling. `taps` holds, of the
// rows and then of the columns, where each output's taps begin (one more for the end) and the inputs; `weights` holds their weights.
KERNEL separable(const Real* __restrict__ x, const int* __restrict__ taps, const Real* __restrict__ weights, int height, int width,
                 int out_height, int out_width, Real* __restrict__ y, int n) {
    const int *row_starts = taps, *row_inputs = row_starts + out_height + 1;
    const int *column_starts = row_inputs + row_starts[out_height], *column_inputs = column_starts + out_width + 1;
    const Real* column_weights = weights + row_starts[out_height];
    EACH(i, n) {
        int column = i % out_width, row = i / out_width % out_height;
        const Real* plane = x + (long long)(i / out_width / out_height) * height * width;
        Real sum = 0;
        for (int l = column_starts[column]; l < column_starts[column + 1]; l += 1) {
            Real line = 0;
            for (int k = row_starts[row]; k < row_starts[row + 1]; k += 1)
                line += weights[k] * plane[row_inputs[k] * width + column_inputs[l]];
            sum += column_weights[l] * line;
        }
        y[i] = sum;
    }
}

// A point along one axis: the pixel before it, the weight of the one after it, and that weight's derivative by the coordinate.
struct Place {
    int low, size;
    Real high_weight, slope;

    __device__ Place(Real coordinate, int size, Real scale, Real offset, int border) : size(size), slope(scale) {
        Real position = coordinate * scale + offset, last = (Real)(size - 1);
        if (border && !(position > 0 && position < last)) {
            // Also where the coordinate is NaN.
            position = position >= last ? last : (Real)0;
            slope = 0;
        }
        // Nowhere near the map, or NaN: a pixel whose neighbour isn't on the map, either.
        bool near = position >= -1 && position < (Real)size;
        low = near ? (int)floor(position) : -2;
        high_weight = near ? position - (Real)low : (Real)0;
    }

    __device__ bool inside(int corner) const { return low + corner >= 0 && low + corner < size; }
    __device__ Real weight(int corner) const { return corner ? high_weight : 1 - high_weight; }
    __device__ Real derivative(int corner) const { return corner ? slope : -slope; }
};

#define SAMPLER int channels, int height, int width, Real x_scale, Real x_offset, Real y_scale, Real y_offset, int border
#define PLACES(point)                                                 \
    Place across((point)[0], width, x_scale, x_offset, border),       \
        down((point)[1], height, y_scale, y_offset, border)
#define CORNERS(dy, dx)             \
    for (int dy = 0; dy < 2; dy++)  \
        for (int dx = 0; dx < 2; dx++) \
            if (down.inside(dy) && across.inside(dx))

KERNEL grid_sample(const Real* __restrict__ x, const Real* __restrict__ grid, SAMPLER, int points, Real* __restrict__ y, int n) {
    EACH(i, n) {
        int plane = i / points;
        PLACES(grid + 2 * ((long long)(plane / channels) * points + i % points));
        const Real* from = x + (long long)plane * height * width;
        Real sum = 0;
        CORNERS(dy, dx) sum += across.weight(dx) * down.weight(dy) * from[(down.low + dy) * width + across.low + dx];
        y[i] = sum;
    }
}

// Block `plane`: each thread owns every BLOCK-th pixel and goes through all points, in their order.
KERNEL grid_sample_maps(const Real* __restrict__ grid, const Real* __restrict__ g, SAMPLER, int points, Real* __restrict__ dx_) {
    Real* into = dx_ + (long long)blockIdx.x * height * width;
    for (int pixel = threadIdx.x; pixel < height * width; pixel += BLOCK) into[pixel] = 0;
    for (int i = 0; i < points; i += 1) {
        PLACES(grid + 2 * ((long long)(blockIdx.x / channels) * points + i));
        Real gradient = g[(long long)blockIdx.x * points + i];
        CORNERS(dy, dx) {
            int pixel = (down.low + dy) * width + across.low + dx;
            if (pixel % BLOCK == (int)threadIdx.x) into[pixel] += across.weight(dx) * down.weight(dy) * gradient;
        }
    }
}

KERNEL grid_sample_grid(const Real* __restrict__ x, const Real* __restrict__ grid, const Real* __restrict__ g, SAMPLER, int points,
                        Real* __restrict__ dgrid, int n) {
    EACH(i, n) {
        PLACES(grid + 2 * (long long)i);
        int picture = i / points;
        Real along_x = 0, along_y = 0;
        CORNERS(dy, dx) {
            Real product = 0;
            for (int c = 0; c < channels; c += 1) {
                long long plane = (long long)picture * channels + c;
                product += x[(plane * height + down.low + dy) * width + across.low + dx] * g[plane * points + i % points];
            }
            along_x += across.derivative(dx) * down.weight(dy) * product;
            along_y += across.weight(dx) * down.derivative(dy) * product;
        }
        dgrid[2 * i] = along_x;
        dgrid[2 * i + 1] = along_y;
    }
}
