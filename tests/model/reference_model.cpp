#include "tests/model/reference_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace nibble {
namespace {

using Vec = std::vector<double>;
using Rows = std::vector<Vec>;

struct Dense {
  size_t rows = 0;
  size_t cols = 0;
  Vec v;

  Vec times(std::span<const double> x) const {
    Vec y(rows, 0.0);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < cols; ++c) y[r] += v[r * cols + c] * x[c];
    }
    return y;
  }
};

double e8m0(uint8_t code) { return std::ldexp(1.0, int{code} - 127); }

double e4m3(uint8_t code) {
  const int exponent = (code >> 3) & 15;
  const int mantissa = code & 7;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

double e2m1(uint8_t code) {
  constexpr double kValues[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6};
  return kValues[code & 15];
}

Vec values_of(const WeightVector& w) {
  const std::vector<float> f = read_f32(*w.values);
  return Vec(f.begin(), f.end());
}

Dense dense(const WeightMatrix& w) {
  Dense d{.rows = w.rows, .cols = w.cols, .v = Vec(w.rows * w.cols)};
  if (w.format == WeightFormat::kBf16 || w.format == WeightFormat::kF32) {
    const std::vector<float> f = read_f32(*w.weight);
    d.v.assign(f.begin(), f.end());
    return d;
  }
  const auto byte = [](const TensorView* t, size_t i) { return static_cast<uint8_t>(t->data[i]); };
  for (size_t r = 0; r < d.rows; ++r) {
    for (size_t c = 0; c < d.cols; ++c) {
      if (w.format == WeightFormat::kFp8) {
        const size_t blocks = (d.cols + 127) / 128;
        d.v[r * d.cols + c] = e4m3(byte(w.weight, r * d.cols + c)) * e8m0(byte(w.scale, r / 128 * blocks + c / 128));
      } else {
        const uint8_t pair = byte(w.weight, (r * d.cols + c) / 2);
        const auto code = static_cast<uint8_t>(c % 2 == 0 ? pair & 15 : pair >> 4);
        d.v[r * d.cols + c] = e2m1(code) * e8m0(byte(w.scale, r * (d.cols / 32) + c / 32));
      }
    }
  }
  return d;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double silu(double x) { return x * sigmoid(x); }

Vec rms_norm(std::span<const double> x, double eps) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  const double scale = 1 / std::sqrt(sum / static_cast<double>(x.size()) + eps);
  Vec y(x.begin(), x.end());
  for (double& v : y) v *= scale;
  return y;
}

Vec rms_norm(std::span<const double> x, const Vec& w, double eps) {
  Vec y = rms_norm(x, eps);
  for (size_t i = 0; i < y.size(); ++i) y[i] *= w[i];
  return y;
}

class ReferenceModel {
 public:
  ReferenceModel(const Checkpoint& checkpoint, std::span<const uint32_t> tokens)
      : c_(checkpoint.config()), w_(load_weights(checkpoint, c_)), tokens_(tokens) {}

  Rows logits() {
    const Dense embed = dense(w_.embed);
    streams_.resize(tokens_.size());
    for (size_t t = 0; t < tokens_.size(); ++t) {
      const auto row = embed.v.begin() + static_cast<ptrdiff_t>(tokens_[t] * embed.cols);
      for (uint32_t c = 0; c < c_.hc_mult; ++c) streams_[t].insert(streams_[t].end(), row, row + c_.hidden_size);
    }
    for (size_t i = 0; i < w_.layers.size(); ++i) {
      const LayerWeights& layer = w_.layers[i];
      sublayer(layer.hc_attn, layer.attn_norm, [&](const Rows& x) { return attention(layer, x); });
      sublayer(layer.hc_ffn, layer.ffn_norm, [&](const Rows& x) { return moe(layer.ffn, x); });
    }
    return head();
  }

 private:
  // m = (X·fnᵀ)·rsqrt(mean(X²)+eps)
  Vec mixes(const Dense& fn, const Vec& stream) const { return fn.times(rms_norm(stream, c_.rms_norm_eps)); }

  Vec collapse(const Vec& stream, std::span<const double> pre) const {
    Vec x(c_.hidden_size, 0.0);
    for (size_t j = 0; j < c_.hc_mult; ++j) {
      for (size_t d = 0; d < c_.hidden_size; ++d) x[d] += pre[j] * stream[j * c_.hidden_size + d];
    }
    return x;
  }

  void sinkhorn(Vec& comb) const {
    const size_t n = c_.hc_mult;
    for (size_t r = 0; r < n; ++r) {
      const auto row = comb.begin() + static_cast<ptrdiff_t>(r * n);
      const double largest = *std::max_element(row, row + static_cast<ptrdiff_t>(n));
      double sum = 0;
      for (size_t k = 0; k < n; ++k)
        sum += row[static_cast<ptrdiff_t>(k)] = std::exp(row[static_cast<ptrdiff_t>(k)] - largest);
      for (size_t k = 0; k < n; ++k) row[static_cast<ptrdiff_t>(k)] = row[static_cast<ptrdiff_t>(k)] / sum + c_.hc_eps;
    }
    const auto normalise = [&](size_t outer_step, size_t inner_step) {
      for (size_t o = 0; o < n; ++o) {
        double sum = 0;
        for (size_t i = 0; i < n; ++i) sum += comb[o * outer_step + i * inner_step];
        for (size_t i = 0; i < n; ++i) comb[o * outer_step + i * inner_step] /= sum + c_.hc_eps;
      }
    };
    normalise(1, n);
    for (uint32_t i = 1; i < c_.hc_sinkhorn_iters; ++i) {
      normalise(n, 1);
      normalise(1, n);
    }
  }

  template <typename F>
  void sublayer(const HyperConnectionWeights& hc, const WeightVector& norm, F&& f) {
    const size_t n = c_.hc_mult;
    const Dense fn = dense(hc.fn);
    const Vec base = values_of(hc.base);
    const Vec scale = values_of(hc.scale);
    const Vec weight = values_of(norm);
    Rows x;
    Rows posts;
    Rows combs;
    for (const Vec& stream : streams_) {
      const Vec m = mixes(fn, stream);
      Vec pre(n);
      Vec post(n);
      Vec comb(n * n);
      for (size_t j = 0; j < n; ++j) pre[j] = sigmoid(m[j] * scale[0] + base[j]) + c_.hc_eps;
      for (size_t j = 0; j < n; ++j) post[j] = 2 * sigmoid(m[n + j] * scale[1] + base[n + j]);
      for (size_t j = 0; j < n * n; ++j) comb[j] = m[2 * n + j] * scale[2] + base[2 * n + j];
      sinkhorn(comb);
      x.push_back(rms_norm(collapse(stream, pre), weight, c_.rms_norm_eps));
      posts.push_back(post);
      combs.push_back(comb);
    }
    const Rows y = f(x);
    for (size_t t = 0; t < streams_.size(); ++t) {
      Vec next(streams_[t].size(), 0.0);
      for (size_t k = 0; k < n; ++k) {
        for (size_t d = 0; d < c_.hidden_size; ++d) {
          double v = posts[t][k] * y[t][d];
          for (size_t j = 0; j < n; ++j) v += combs[t][j * n + k] * streams_[t][j * c_.hidden_size + d];
          next[k * c_.hidden_size + d] = v;
        }
      }
      streams_[t] = std::move(next);
    }
  }

  // Radians per position of pair i, and the rotation of the last r elements by `direction`.
  double frequency(uint32_t i, uint32_t ratio) const {
    const double r = c_.qk_rope_head_dim;
    const double theta = ratio == 0 ? c_.rope_theta : c_.compress_rope_theta;
    const double plain = std::pow(theta, -2.0 * i / r);
    if (ratio == 0) return plain;
    const auto correction = [&](double beta) {
      return r * std::log(c_.yarn.original_max_position_embeddings / (2 * std::numbers::pi * beta)) /
             (2 * std::log(theta));
    };
    const double low = std::max(std::floor(correction(c_.yarn.beta_fast)), 0.0);
    const double high = std::min(std::ceil(correction(c_.yarn.beta_slow)), r - 1);
    const double ramp = std::clamp((i - low) / std::max(high - low, 0.001), 0.0, 1.0);
    return plain / c_.yarn.factor * ramp + plain * (1 - ramp);
  }

  void rotate(std::span<double> x, double position, uint32_t ratio, double direction) const {
    const size_t start = x.size() - c_.qk_rope_head_dim;
    for (uint32_t i = 0; i < c_.qk_rope_head_dim / 2; ++i) {
      const double angle = position * frequency(i, ratio) * direction;
      const double a = x[start + 2 * i];
      const double b = x[start + 2 * i + 1];
      x[start + 2 * i] = a * std::cos(angle) - b * std::sin(angle);
      x[start + 2 * i + 1] = a * std::sin(angle) + b * std::cos(angle);
    }
  }

  Rows compress(const CompressorWeights& w, const Rows& x) const {
    const Dense wkv = dense(w.wkv);
    const Dense wgate = dense(w.wgate);
    const Dense ape = dense(w.ape);
    const Vec norm = values_of(w.norm);
    Rows a;
    Rows z;
    for (const Vec& row : x) {
      a.push_back(wkv.times(row));
      z.push_back(wgate.times(row));
    }
    Rows entries;
    for (size_t j = 0; (j + 1) * w.ratio <= x.size(); ++j) {
      Vec entry(w.width);
      for (size_t col = 0; col < w.width; ++col) {
        double numerator = 0;
        double denominator = 0;
        // Windows of plain random weights keep exp() small enough to need no maximum.
        const auto pool = [&](size_t window, size_t column) {
          for (size_t i = 0; i < w.ratio; ++i) {
            const double e = std::exp(z[window * w.ratio + i][column] + ape.v[i * ape.cols + column]);
            numerator += e * a[window * w.ratio + i][column];
            denominator += e;
          }
        };
        if (w.overlap && j > 0) pool(j - 1, col);
        pool(j, w.overlap ? w.width + col : col);
        entry[col] = numerator / denominator;
      }
      entry = rms_norm(entry, norm, c_.rms_norm_eps);
      rotate(entry, static_cast<double>(j * w.ratio), w.ratio, 1);
      entries.push_back(entry);
    }
    return entries;
  }

  // Plain numerics: the Hadamard rotation of queries and keys is orthogonal and changes no score.
  std::vector<size_t> choose(const LayerWeights& layer, const Rows& keys, const Vec& x, const Vec& q_a,
                             size_t t) const {
    const IndexerWeights& w = *layer.attn.indexer;
    const size_t visible = (t + 1) / layer.plan.ratio;
    Vec q = dense(w.wq_b).times(q_a);
    const Vec g = dense(w.weights_proj).times(x);
    const size_t dim = c_.index_head_dim;
    for (size_t h = 0; h < c_.index_n_heads; ++h) {
      rotate(std::span(q).subspan(h * dim, dim), static_cast<double>(t), layer.plan.ratio, 1);
    }
    Vec scores(visible, 0.0);
    for (size_t j = 0; j < visible; ++j) {
      for (size_t h = 0; h < c_.index_n_heads; ++h) {
        const double s =
            std::inner_product(keys[j].begin(), keys[j].end(), q.begin() + static_cast<ptrdiff_t>(h * dim), 0.0);
        scores[j] += g[h] * std::max(s, 0.0);
      }
    }
    std::vector<size_t> ids(visible);
    std::iota(ids.begin(), ids.end(), size_t{0});
    std::stable_sort(ids.begin(), ids.end(), [&](size_t i, size_t j) { return scores[i] > scores[j]; });
    ids.resize(std::min<size_t>(visible, c_.index_topk));
    return ids;
  }

  Vec attend(std::span<const double> q, const std::vector<const Vec*>& entries, double sink) const {
    Vec o(q.size(), 0.0);
    double denominator = std::exp(sink);
    for (const Vec* entry : entries) {
      const double s =
          std::inner_product(q.begin(), q.end(), entry->begin(), 0.0) / std::sqrt(static_cast<double>(q.size()));
      const double e = std::exp(s);
      denominator += e;
      for (size_t i = 0; i < o.size(); ++i) o[i] += e * (*entry)[i];
    }
    for (double& v : o) v /= denominator;
    return o;
  }

  Rows attention(const LayerWeights& layer, const Rows& x) const {
    const AttentionWeights& w = layer.attn;
    const Dense wq_a = dense(w.wq_a);
    const Dense wq_b = dense(w.wq_b);
    const Dense wkv = dense(w.wkv);
    const Dense wo_a = dense(w.wo_a);
    const Dense wo_b = dense(w.wo_b);
    const Vec q_norm = values_of(w.q_norm);
    const Vec kv_norm = values_of(w.kv_norm);
    const Vec sinks = values_of(w.attn_sink);
    const size_t dim = c_.head_dim;
    Rows kv;
    for (size_t t = 0; t < x.size(); ++t) {
      kv.push_back(rms_norm(wkv.times(x[t]), kv_norm, c_.rms_norm_eps));
      rotate(kv.back(), static_cast<double>(t), layer.plan.ratio, 1);
    }
    const Rows compressed = w.compressor ? compress(*w.compressor, x) : Rows();
    const Rows keys = w.indexer ? compress(w.indexer->compressor, x) : Rows();
    Rows result;
    for (size_t t = 0; t < x.size(); ++t) {
      const Vec q_a = rms_norm(wq_a.times(x[t]), q_norm, c_.rms_norm_eps);
      const Vec q_all = wq_b.times(q_a);
      std::vector<const Vec*> entries;
      for (size_t p = t + 1 > c_.sliding_window ? t + 1 - c_.sliding_window : 0; p <= t; ++p) entries.push_back(&kv[p]);
      if (w.indexer) {
        for (const size_t j : choose(layer, keys, x[t], q_a, t)) entries.push_back(&compressed[j]);
      } else if (w.compressor) {
        for (size_t j = 0; j < (t + 1) / layer.plan.ratio; ++j) entries.push_back(&compressed[j]);
      }
      Vec heads;
      for (size_t h = 0; h < c_.num_attention_heads; ++h) {
        Vec q = rms_norm(std::span(q_all).subspan(h * dim, dim), c_.rms_norm_eps);
        rotate(q, static_cast<double>(t), layer.plan.ratio, 1);
        Vec o = attend(q, entries, sinks[h]);
        rotate(o, static_cast<double>(t), layer.plan.ratio, -1);
        heads.insert(heads.end(), o.begin(), o.end());
      }
      Vec u(wo_a.rows, 0.0);
      for (size_t r = 0; r < wo_a.rows; ++r) {
        const size_t group = r / c_.o_lora_rank;
        for (size_t col = 0; col < wo_a.cols; ++col)
          u[r] += wo_a.v[r * wo_a.cols + col] * heads[group * wo_a.cols + col];
      }
      result.push_back(wo_b.times(u));
    }
    return result;
  }

  void add_expert(const ExpertWeights& w, const Vec& x, double weight, Vec& y) const {
    const Vec g = dense(w.w1).times(x);
    Vec h = dense(w.w3).times(x);
    const double limit = c_.swiglu_limit;
    for (size_t i = 0; i < h.size(); ++i) h[i] = silu(std::min(g[i], limit)) * std::clamp(h[i], -limit, limit) * weight;
    const Vec down = dense(w.w2).times(h);
    for (size_t i = 0; i < y.size(); ++i) y[i] += down[i];
  }

  Rows moe(const MoeWeights& w, const Rows& x) const {
    const Dense gate = dense(w.gate);
    const Vec bias = w.bias ? values_of(*w.bias) : Vec(c_.n_routed_experts, 0.0);
    const std::vector<int64_t> table = w.tid2eid != nullptr ? read_integers(*w.tid2eid) : std::vector<int64_t>();
    const size_t k = c_.num_experts_per_tok;
    Rows result;
    for (size_t t = 0; t < x.size(); ++t) {
      Vec s = gate.times(x[t]);
      for (double& v : s) v = std::sqrt(v > 20 ? v : std::log1p(std::exp(v)));
      std::vector<size_t> ids(c_.n_routed_experts);
      std::iota(ids.begin(), ids.end(), size_t{0});
      std::stable_sort(ids.begin(), ids.end(), [&](size_t i, size_t j) { return s[i] + bias[i] > s[j] + bias[j]; });
      ids.resize(k);
      for (size_t i = 0; i < k && !table.empty(); ++i) ids[i] = static_cast<size_t>(table[tokens_[t] * k + i]);
      double sum = 0;
      for (const size_t e : ids) sum += s[e];
      Vec y(c_.hidden_size, 0.0);
      for (const size_t e : ids) add_expert(w.experts[e], x[t], s[e] / sum * c_.routed_scaling_factor, y);
      add_expert(w.shared, x[t], 1, y);
      result.push_back(y);
    }
    return result;
  }

  Rows head() const {
    const Dense fn = dense(w_.hc_head.fn);
    const Vec base = values_of(w_.hc_head.base);
    const Vec scale = values_of(w_.hc_head.scale);
    const Vec norm = values_of(w_.norm);
    const Dense output = dense(w_.head);
    Rows result;
    for (const Vec& stream : streams_) {
      Vec pre = mixes(fn, stream);
      for (size_t j = 0; j < pre.size(); ++j) pre[j] = sigmoid(pre[j] * scale[0] + base[j]) + c_.hc_eps;
      result.push_back(output.times(rms_norm(collapse(stream, pre), norm, c_.rms_norm_eps)));
    }
    return result;
  }

  const ModelConfig& c_;
  ModelWeights w_;
  std::span<const uint32_t> tokens_;
  Rows streams_;
};

}  // namespace

std::vector<std::vector<double>> reference_logits(const Checkpoint& checkpoint, std::span<const uint32_t> tokens) {
  return ReferenceModel(checkpoint, tokens).logits();
}

}  // namespace nibble
