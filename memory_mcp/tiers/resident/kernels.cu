// Candidates for nearest-neighbour search over half-precision rows: a superset of the k closest, never all scores.
//
// A search takes four steps. `sample` or `sample_product` looks at every so-manieth row and keeps the best score of each of
// GROUPS disjoint groups: its k-th best is the score of a row, as are k - 1 better ones, so no row below it is among the k
// closest. `threshold` finds it. `scan` or `sift` looks at every row and lists those that reach it. `choose` takes the k-th
// best of the list and gives back the rows that reach that. Both bounds are lowered by a slack for rounding.
//
// Rows are `chunks` times 16 bytes (8 halves); a row is a slot number from `first` on. A mask has one bit a slot, lowest
// first; null: every row may be found. Scores are sums in float32. Sizes are 32-bit, offsets into memory 64-bit.
// Needs no header, and no feature beyond compute capability 7.0.

#ifndef OFF_DEVICE
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
__device__ __forceinline__ float half_to_float(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
#endif

typedef unsigned char Byte;
typedef unsigned int Word;
typedef unsigned long long Entry;  // a listed row: its score in the upper half, ordered as unsigned; its slot in the lower

constexpr Word GROUPS = 2048;    // the host knows this, too
constexpr Word THREADS = 256;    // of every block
constexpr Word LANES = 16;       // half a warp reads a row
constexpr Word AT_ONCE = 4;      // rows that half a warp has on their way from memory
constexpr Word WHOLE = 0xffffffffu;

// Unsigned integers in the order of the floats they stand for, and back.
__device__ __forceinline__ Word ordered(float value) {
    Word bits = __float_as_uint(value);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float unordered(Word key) {
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

__device__ __forceinline__ float least() { return __uint_as_float(0xff800000u); }

__device__ __forceinline__ bool passes(const Byte* mask, Word slot) { return !mask || mask[slot >> 3] >> (slot & 7) & 1; }

// The queries as the lanes read them, without bank conflicts: for each query the first four numbers of every chunk, then
// the last four of every chunk.
__device__ __forceinline__ void share(const float4* queries, Word count, Word chunks, float4* shared) {
    for (Word i = threadIdx.x; i < count * chunks * 2; i += THREADS) {
        Word query = i / (chunks * 2), within = i % (chunks * 2);
        shared[query * chunks * 2 + (within & 1) * chunks + (within >> 1)] = queries[i];
    }
    __syncthreads();
}

__device__ __forceinline__ float dot8(uint4 row, float4 low, float4 high, float sum) {
    sum = fmaf(half_to_float(row.x & 0xffff), low.x, sum);
    sum = fmaf(half_to_float(row.x >> 16), low.y, sum);
    sum = fmaf(half_to_float(row.y & 0xffff), low.z, sum);
    sum = fmaf(half_to_float(row.y >> 16), low.w, sum);
    sum = fmaf(half_to_float(row.z & 0xffff), high.x, sum);
    sum = fmaf(half_to_float(row.z >> 16), high.y, sum);
    sum = fmaf(half_to_float(row.w & 0xffff), high.z, sum);
    return fmaf(half_to_float(row.w >> 16), high.w, sum);
}

// Dot products of AT_ONCE rows with all queries, known to all lanes of the half-warp. Every thread of the warp has to come here.
template <Word QUERIES>
__device__ __forceinline__ void dots(const uint4* rows, const Word (&row)[AT_ONCE], const bool (&wanted)[AT_ONCE], Word chunks,
                                     const float4* shared, float (&sums)[AT_ONCE][QUERIES]) {
    Word lane = threadIdx.x % LANES;
#pragma unroll
    for (Word r = 0; r < AT_ONCE; ++r)
#pragma unroll
        for (Word q = 0; q < QUERIES; ++q) sums[r][q] = 0.0f;
#pragma unroll 3
    for (Word chunk = lane; chunk < chunks; chunk += LANES) {
        uint4 parts[AT_ONCE];
#pragma unroll
        for (Word r = 0; r < AT_ONCE; ++r) {
            parts[r] = wanted[r] ? rows[(unsigned long long)row[r] * chunks + chunk] : make_uint4(0, 0, 0, 0);
        }
#pragma unroll
        for (Word q = 0; q < QUERIES; ++q) {
            float4 low = shared[q * 2 * chunks + chunk], high = shared[(q * 2 + 1) * chunks + chunk];
#pragma unroll
            for (Word r = 0; r < AT_ONCE; ++r) sums[r][q] = dot8(parts[r], low, high, sums[r][q]);
        }
    }
#pragma unroll
    for (Word r = 0; r < AT_ONCE; ++r)
#pragma unroll
        for (Word q = 0; q < QUERIES; ++q)
#pragma unroll
            for (Word apart = LANES / 2; apart; apart /= 2) sums[r][q] += __shfl_xor_sync(WHOLE, sums[r][q], apart);
}

__device__ __forceinline__ void list_row(float score, Word slot, Entry* list, Word* listed, Word capacity) {
    Word at = atomicAdd(listed, 1u);
    if (at < capacity) list[at] = (Entry)ordered(score) << 32 | slot;
}

// Every `step`-th of `count` rows; half-warp g of the grid, which has GROUPS of them, raises maxima[q][g] to the best of its rows.
template <Word QUERIES>
__device__ __forceinline__ void sample_rows(const uint4* rows, Word count, Word first, Word step, Word chunks, const Byte* mask,
                                            const float4* queries, float* maxima) {
    DYNAMIC_SHARED(float4, shared);
    share(queries, QUERIES, chunks, shared);
    Word group = (blockIdx.x * THREADS + threadIdx.x) / LANES;
    Word samples = (count + step - 1) / step;
    float best[QUERIES];
#pragma unroll
    for (Word q = 0; q < QUERIES; ++q) best[q] = least();
    for (Word round = 0; round < samples; round += AT_ONCE * GROUPS) {  // as often for all groups
        Word row[AT_ONCE];
        bool wanted[AT_ONCE];
        float sums[AT_ONCE][QUERIES];
#pragma unroll
        for (Word r = 0; r < AT_ONCE; ++r) {
            Word sample = round + r * GROUPS + group;
            row[r] = sample * step;
            wanted[r] = sample < samples && passes(mask, first + row[r]);
        }
        dots<QUERIES>(rows, row, wanted, chunks, shared, sums);
#pragma unroll
        for (Word r = 0; r < AT_ONCE; ++r)
#pragma unroll
            for (Word q = 0; q < QUERIES; ++q)
                if (wanted[r]) best[q] = fmaxf(best[q], sums[r][q]);
    }
    if (threadIdx.x % LANES == 0) {
#pragma unroll
        for (Word q = 0; q < QUERIES; ++q) maxima[q * GROUPS + group] = fmaxf(maxima[q * GROUPS + group], best[q]);
    }
}

// Every row; lists those whose score reaches the query's floor. A grid of any size.
template <Word QUERIES>
__device__ __forceinline__ void scan_rows(const uint4* rows, Word count, Word first, Word chunks, const Byte* mask,
                                          const float4* queries, const float* floors, Entry* lists, Word* listed, Word capacity) {
    DYNAMIC_SHARED(float4, shared);
    share(queries, QUERIES, chunks, shared);
    float floor[QUERIES];
#pragma unroll
    for (Word q = 0; q < QUERIES; ++q) floor[q] = floors[q];
    constexpr Word PER_BLOCK = THREADS / LANES * AT_ONCE;
    Word mine = threadIdx.x / LANES * AT_ONCE;
    for (unsigned long long start = (unsigned long long)blockIdx.x * PER_BLOCK; start < count;
         start += (unsigned long long)gridDim.x * PER_BLOCK) {
        Word row[AT_ONCE];
        bool wanted[AT_ONCE];
        float sums[AT_ONCE][QUERIES];
#pragma unroll
        for (Word r = 0; r < AT_ONCE; ++r) {
            row[r] = (Word)start + mine + r;
            wanted[r] = row[r] < count && passes(mask, first + row[r]);
        }
        dots<QUERIES>(rows, row, wanted, chunks, shared, sums);
        if (threadIdx.x % LANES == 0) {
#pragma unroll
            for (Word r = 0; r < AT_ONCE; ++r)
#pragma unroll
                for (Word q = 0; q < QUERIES; ++q)
                    if (wanted[r] && sums[r][q] >= floor[q])
                        list_row(sums[r][q], first + row[r], lists + (unsigned long long)q * capacity, listed + q, capacity);
        }
    }
}

#define FOR_QUERIES(n)                                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                                     \
        sample_##n(const uint4* rows, Word count, Word first, Word step, Word chunks, const Byte* mask, const float4* queries, \
                   float* maxima) {                                                                                           \
        sample_rows<n>(rows, count, first, step, chunks, mask, queries, maxima);                                              \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                                     \
        scan_##n(const uint4* rows, Word count, Word first, Word chunks, const Byte* mask, const float4* queries,              \
                 const float* floors, Entry* lists, Word* listed, Word capacity) {                                            \
        scan_rows<n>(rows, count, first, chunks, mask, queries, floors, lists, listed, capacity);                             \
    }
FOR_QUERIES(1)
FOR_QUERIES(2)
FOR_QUERIES(3)
FOR_QUERIES(4)

// As `sample`, where a matrix product has left scores[q][i] of rows first + i * step; one thread a group, blockIdx.y the query.
extern "C" __global__ void __launch_bounds__(THREADS)
    sample_product(const float* scores, Word count, Word first, Word step, const Byte* mask, float* maxima) {
    Word group = blockIdx.x * THREADS + threadIdx.x;
    const float* row_scores = scores + (unsigned long long)blockIdx.y * count;
    float best = least();
    for (Word i = group; i < count; i += GROUPS)
        if (passes(mask, first + i * step)) best = fmaxf(best, row_scores[i]);
    float* maximum = maxima + blockIdx.y * GROUPS + group;
    *maximum = fmaxf(*maximum, best);
}

// As `scan`, where a matrix product has left scores[q][i] of rows first + i; blockIdx.y is the query.
extern "C" __global__ void __launch_bounds__(THREADS) sift(const float* scores, Word count, Word first, const Byte* mask,
                                                           const float* floors, Entry* lists, Word* listed, Word capacity) {
    Word query = blockIdx.y;
    const float* row_scores = scores + (unsigned long long)query * count;
    float floor = floors[query];
    for (Word i = blockIdx.x * THREADS + threadIdx.x; i < count; i += gridDim.x * THREADS) {
        float score = row_scores[i];
        if (score >= floor && passes(mask, first + i))
            list_row(score, first + i, lists + (unsigned long long)query * capacity, listed + query, capacity);
    }
}

// The k-th largest of n keys, counted from 1, found by one block a byte at a time; 0 where there are not so many.
template <class Keys>
__device__ Word kth_largest(Keys keys, Word n, Word k) {
    __shared__ Word tally[THREADS];  // how many keys have this byte; then how many have this or a larger one
    __shared__ Word chosen, still;
    if (n < k) return 0;
    Word prefix = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        Word above = shift == 24 ? 0 : WHOLE << (shift + 8);
        tally[threadIdx.x] = 0;
        __syncthreads();
        for (Word i = threadIdx.x; i < n; i += THREADS) {
            Word key = keys(i);
            if ((key & above) == prefix) atomicAdd(&tally[key >> shift & 255], 1u);
        }
        __syncthreads();
        for (Word apart = 1; apart < THREADS; apart *= 2) {
            Word more = threadIdx.x + apart < THREADS ? tally[threadIdx.x + apart] : 0;
            __syncthreads();
            tally[threadIdx.x] += more;
            __syncthreads();
        }
        Word larger = threadIdx.x + 1 < THREADS ? tally[threadIdx.x + 1] : 0;
        if (tally[threadIdx.x] >= k && larger < k) {
            chosen = threadIdx.x;
            still = k - larger;
        }
        __syncthreads();
        prefix |= chosen << shift;
        k = still;
        __syncthreads();
    }
    return prefix;
}

// floors[q] = the k-th of a query's maxima, less its slack; -inf where fewer groups have a row. Leaves -inf for the next search.
extern "C" __global__ void __launch_bounds__(THREADS)
    threshold(float* maxima, Word k, const float* slack, float* floors, Word* listed) {
    __shared__ Word keys[GROUPS];
    float* mine = maxima + blockIdx.x * GROUPS;
    for (Word i = threadIdx.x; i < GROUPS; i += THREADS) {
        keys[i] = ordered(mine[i]);
        mine[i] = least();
    }
    __syncthreads();
    Word key = kth_largest([](Word i) { return keys[i]; }, GROUPS, k);
    if (threadIdx.x == 0) {
        floors[blockIdx.x] = key ? unordered(key) - slack[blockIdx.x] : least();
        listed[blockIdx.x] = 0;
    }
}

// found[q] = how many rows reach the k-th of the list, less slack; then these rows, as far as there is room. WHOLE in place of
// the number: the list was too short for all; floors[q] has then risen to what this much of it proves, for another scan.
extern "C" __global__ void __launch_bounds__(THREADS)
    choose(const Entry* lists, Word* listed, Word capacity, Word k, const float* slack, float* floors, Word* found, Word room) {
    __shared__ Word kept;
    Word query = blockIdx.x, all = listed[query], n = all < capacity ? all : capacity;
    const Entry* list = lists + (unsigned long long)query * capacity;
    Word* mine = found + (unsigned long long)query * (room + 1);
    if (threadIdx.x == 0) kept = 0;
    Word key = kth_largest([list](Word i) { return (Word)(list[i] >> 32); }, n, k);
    float floor = key ? unordered(key) - slack[query] : least();
    __syncthreads();
    for (Word i = threadIdx.x; i < n; i += THREADS) {
        if (unordered((Word)(list[i] >> 32)) >= floor) {
            Word at = atomicAdd(&kept, 1u);
            if (at < room) mine[at + 1] = (Word)list[i];
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        mine[0] = all > capacity ? WHOLE : kept;
        floors[query] = floor;
        listed[query] = 0;
    }
}

// rows[slots[i]] = source[i], one thread a chunk.
extern "C" __global__ void __launch_bounds__(THREADS)
    scatter(const uint4* source, const Word* slots, Word count, Word chunks, uint4* rows) {
    for (Word i = blockIdx.x * THREADS + threadIdx.x; i < count * chunks; i += gridDim.x * THREADS)
        rows[(unsigned long long)slots[i / chunks] * chunks + i % chunks] = source[i];
}

// values[i] = -inf.
extern "C" __global__ void __launch_bounds__(THREADS) clear(float* values, Word count) {
    for (Word i = blockIdx.x * THREADS + threadIdx.x; i < count; i += gridDim.x * THREADS) values[i] = least();
}
