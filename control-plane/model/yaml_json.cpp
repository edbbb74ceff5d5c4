#include "control-plane/model/yaml_json.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "control-plane/model/names.hpp"

namespace tulle::model {

namespace {

using nlohmann::json;

constexpr size_t kDeepest = 64;           // as for JSON
constexpr size_t kMostValues = 100'000;   // far more than kMaxDocumentBytes of sensible text hold

struct Refused {
  YAML::Mark mark;
  std::string message;
};

std::string where(const YAML::Mark& mark) {
  return "line " + std::to_string(mark.line + 1) + ", column " + std::to_string(mark.column + 1);
}

size_t size_of(const json& value) {
  size_t size = 1;
  if (value.is_structured()) {
    for (const json& child : value) size += size_of(child);
  }
  return size;
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Digits with an optional sign, fraction and exponent: what JSON would take too.
json plain_number(std::string_view text) {
  const std::string_view unsigned_text = text.starts_with('-') ? text.substr(1) : text;
  if (unsigned_text.empty() || unsigned_text[0] < '0' || unsigned_text[0] > '9') return json();
  if (is_digits(unsigned_text) && unsigned_text.size() > 1 && unsigned_text[0] == '0') return json();
  json number = json::parse(text, nullptr, false);
  return number.is_number() ? number : json();
}

json plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return {};
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  json number = plain_number(text);
  return number.is_null() ? json(text) : number;
}

// Builds values from the parser's events.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(size_t budget) : budget_(budget) {}

  json take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(mark, anchor, json()); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refused{mark, "an alias inside what it names"};
    count(mark, found->second.second);
    put(mark, json(found->second.first));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag == "?" || tag.empty()) {
      // A name is text, whatever it looks like.
      add(mark, anchor, expects_name() ? json(value) : plain_scalar(value));
    } else if (tag == "!" || tag == "tag:yaml.org,2002:str") {
      add(mark, anchor, json(value));
    } else {
      throw Refused{mark, "the tag \"" + tag + "\" is not supported"};
    }
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, json::array());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, json::object());
  }
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    json value;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    std::string name;
    bool has_name = false;
  };

  bool expects_name() const {
    return !levels_.empty() && levels_.back().value.is_object() && !levels_.back().has_name;
  }

  void count(const YAML::Mark& mark, size_t values) {
    if (values > budget_) throw Refused{mark, "holds too many values (aliases count)"};
    budget_ -= values;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, json value) {
    if (tag != "?" && tag != "!" && !tag.empty() && !tag.starts_with("tag:yaml.org,2002:")) {
      throw Refused{mark, "the tag \"" + tag + "\" is not supported"};
    }
    if (expects_name()) throw Refused{mark, "a name must be text"};
    if (levels_.size() == kDeepest) {
      throw Refused{mark, "is nested more than " + std::to_string(kDeepest) + " levels deep"};
    }
    count(mark, 1);
    levels_.push_back({std::move(value), anchor, mark, {}, false});
  }

  void close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    remember(level.mark, level.anchor, level.value);
    put(level.mark, std::move(level.value));
  }

  void add(const YAML::Mark& mark, YAML::anchor_t anchor, json value) {
    count(mark, 1);
    remember(mark, anchor, value);
    put(mark, std::move(value));
  }

  // The copy counts as well: anchors around anchors would multiply it.
  void remember(const YAML::Mark& mark, YAML::anchor_t anchor, const json& value) {
    if (anchor == YAML::NullAnchor) return;
    const size_t size = size_of(value);
    count(mark, size);
    anchors_[anchor] = {value, size};
  }

  void put(const YAML::Mark& mark, json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      level.value.push_back(std::move(value));
    } else if (level.has_name) {
      level.value[level.name] = std::move(value);
      level.has_name = false;
    } else {
      if (!value.is_string()) throw Refused{mark, "a name must be text"};
      level.name = value.get<std::string>();
      if (level.value.contains(level.name)) {
        throw Refused{mark, "\"" + level.name + "\" is given twice"};
      }
      level.has_name = true;
    }
  }

  size_t budget_;
  json root_;
  std::vector<Level> levels_;
  std::map<YAML::anchor_t, std::pair<json, size_t>> anchors_;
};

}  // namespace

bool parse_yaml(std::string_view text, std::vector<json>& documents, const Place& place,
                size_t most_documents) {
  if (!is_utf8(text)) {
    place.invalid("is not UTF-8 text");
    return false;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    for (size_t i = 0;; ++i) {
      Builder builder(kMostValues);
      if (!parser.HandleNextDocument(builder)) return true;
      if (i == most_documents) {
        place.invalid("holds more than " + std::to_string(most_documents) + " documents");
        return false;
      }
      documents.push_back(builder.take());
    }
  } catch (const Refused& refused) {
    place.invalid(where(refused.mark) + ": " + refused.message);
  } catch (const YAML::Exception& error) {
    place.invalid(where(error.mark) + ": " + error.msg);
  }
  return false;
}

}  // namespace tulle::model
