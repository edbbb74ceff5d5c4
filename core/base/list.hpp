// List<T>: an intrusive doubly linked list; a node leaves its list when it dies.
//
// "No reachable pointer to the unreachable" is a property of this file: destroying a node unlinks
// it, destroying a list unlinks all of its nodes. T derives from ListNode<Tag>; different tags let
// one object be in several lists. Not thread-safe.
#pragma once

#include <cstddef>

#include "core/base/assert.hpp"

namespace tulle {

template <class Tag>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  template <class T, class U>
  friend class List;
  ListNode* next_ = nullptr;
  ListNode* prev_ = nullptr;
};

template <class T, class Tag>
class List {
 public:
  List() { root_.next_ = root_.prev_ = &root_; }
  ~List() {
    while (!empty()) root_.next_->unlink();
    root_.next_ = root_.prev_ = nullptr;
  }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  bool empty() const { return root_.next_ == &root_; }
  T& front() {
    ASSERT(!empty());
    return *static_cast<T*>(root_.next_);
  }
  T& back() {
    ASSERT(!empty());
    return *static_cast<T*>(root_.prev_);
  }
  void push_back(T& item) { insert_before(root_, item); }
  void push_front(T& item) { insert_before(*root_.next_, item); }
  T* pop_front() {
    if (empty()) return nullptr;
    T* item = &front();
    static_cast<ListNode<Tag>*>(item)->unlink();
    return item;
  }
  // Moves all nodes of `other` behind ours, in constant time.
  void splice_back(List& other) {
    if (other.empty()) return;
    ListNode<Tag>* first = other.root_.next_;
    ListNode<Tag>* last = other.root_.prev_;
    other.root_.next_ = other.root_.prev_ = &other.root_;
    first->prev_ = root_.prev_;
    root_.prev_->next_ = first;
    last->next_ = &root_;
    root_.prev_ = last;
  }

  // Iteration that survives removal of the current item.
  class Iterator {
   public:
    explicit Iterator(ListNode<Tag>* node) : node_(node), next_(node->next_) {}
    T& operator*() const { return *static_cast<T*>(node_); }
    Iterator& operator++() {
      node_ = next_;
      next_ = node_->next_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return node_ != other.node_; }

   private:
    ListNode<Tag>* node_;
    ListNode<Tag>* next_;
  };
  Iterator begin() { return Iterator(root_.next_); }
  Iterator end() { return Iterator(&root_); }

 private:
  static void insert_before(ListNode<Tag>& place, T& item) {
    ListNode<Tag>& node = static_cast<ListNode<Tag>&>(item);
    ASSERT(!node.linked());
    node.prev_ = place.prev_;
    node.next_ = &place;
    place.prev_->next_ = &node;
    place.prev_ = &node;
  }
  ListNode<Tag> root_;
};

}  // namespace tulle
