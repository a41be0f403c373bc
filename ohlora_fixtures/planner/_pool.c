/* `Pool` of allocator.py, compiled: what all of it means is said there. hatch_build.py builds it where there is a C
 * compiler; without one, that in Python does the same, more slowly. tests/test_allocator.py holds them equal.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#define MIN_BLOCK_BYTES ((int64_t)512)
#define MIB ((int64_t)1 << 20)
#define SMALL_REQUEST_MAX_BYTES MIB
#define SMALL_SEGMENT_BYTES (2 * MIB)
#define LARGE_SEGMENT_BYTES (20 * MIB)
#define LARGE_REQUEST_MIN_BYTES (10 * MIB)
#define LARGE_ROUND_BYTES (2 * MIB)
#define NONE (-1)

/* A block, known by its place in the pool's blocks; its neighbours are those of its segment. */
typedef struct {
    int64_t address, size;
    int32_t before, after;
    int is_free;
} Block;

/* A free block. They are sorted by size and address. */
typedef struct {
    int64_t size, address;
    int32_t block;
} Free;

typedef struct {
    PyObject_HEAD
    char is_small;
    int64_t allocated_bytes, reserved_bytes, held_bytes, peak_reserved_bytes, next_address;
    PyObject *device, *changes;
    Block *blocks; /* of which those in use are found by their address in `table`, others are chained by `after` */
    int32_t count, capacity, unused;
    int32_t *table; /* hashed with linear probing; of 2 ** table_bits places, at least half are NONE */
    int table_bits;
    Free *frees;
    int32_t free_count, free_capacity;
} Pool;

static PyTypeObject PoolType;

static int64_t rounded(int64_t size, int64_t multiple) { return (size + multiple - 1) / multiple * multiple; }

/* The table of blocks by address */

static uint32_t home_of(const Pool *pool, int64_t address)
{
    return (uint32_t)(((uint64_t)address / MIN_BLOCK_BYTES * 0x9E3779B97F4A7C15u) >> (64 - pool->table_bits));
}

static uint32_t place_of(const Pool *pool, int64_t address)
{
    uint32_t mask = (1u << pool->table_bits) - 1, place = home_of(pool, address);
    while (pool->table[place] != NONE && pool->blocks[pool->table[place]].address != address)
        place = (place + 1) & mask;
    return place;
}

static void take_off_table(Pool *pool, int64_t address)
{
    uint32_t mask = (1u << pool->table_bits) - 1, gap = place_of(pool, address);
    for (uint32_t place = (gap + 1) & mask; pool->table[place] != NONE; place = (place + 1) & mask) {
        uint32_t home = home_of(pool, pool->blocks[pool->table[place]].address);
        if (((place - home) & mask) >= ((place - gap) & mask)) {
            pool->table[gap] = pool->table[place];
            gap = place;
        }
    }
    pool->table[gap] = NONE;
}

/* Twice the blocks, and a table of twice as many places; -1 with an exception where there is no memory. */
static int grow(Pool *pool)
{
    int32_t capacity = pool->capacity ? 2 * pool->capacity : 64;
    Block *blocks = PyMem_Realloc(pool->blocks, capacity * sizeof(Block));
    if (blocks == NULL)
        return PyErr_NoMemory(), -1;
    pool->blocks = blocks;
    int32_t *table = PyMem_Realloc(pool->table, 2 * capacity * sizeof(int32_t));
    if (table == NULL)
        return PyErr_NoMemory(), -1;
    pool->table = table;
    pool->table_bits = pool->table_bits ? pool->table_bits + 1 : 7;
    memset(table, 0xff, 2 * capacity * sizeof(int32_t));
    for (int32_t block = 0; block < pool->capacity; block++) /* none is unused where this is called */
        table[place_of(pool, blocks[block].address)] = block;
    for (int32_t block = pool->capacity; block < capacity; block++)
        blocks[block].after = block + 1 < capacity ? block + 1 : NONE;
    pool->unused = pool->capacity;
    pool->capacity = capacity;
    return 0;
}

static int32_t new_block(Pool *pool, int64_t address, int64_t size)
{
    if (pool->unused == NONE && grow(pool) < 0)
        return NONE;
    int32_t block = pool->unused;
    pool->unused = pool->blocks[block].after;
    pool->blocks[block] = (Block){address, size, NONE, NONE, 0};
    pool->table[place_of(pool, address)] = block;
    pool->count++;
    return block;
}

static void drop_block(Pool *pool, int32_t block)
{
    take_off_table(pool, pool->blocks[block].address);
    pool->blocks[block].after = pool->unused;
    pool->unused = block;
    pool->count--;
}

/* The free blocks */

static int32_t first_free(const Pool *pool, int64_t size, int64_t address)
{
    int32_t low = 0, high = pool->free_count;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        const Free *each = &pool->frees[middle];
        if (each->size < size || (each->size == size && each->address < address))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_free(Pool *pool, int32_t position)
{
    pool->blocks[pool->frees[position].block].is_free = 0;
    pool->free_count--;
    memmove(pool->frees + position, pool->frees + position + 1, (pool->free_count - position) * sizeof(Free));
}

static int add_free(Pool *pool, int32_t block)
{
    if (pool->free_count == pool->free_capacity) {
        int32_t capacity = pool->free_capacity ? 2 * pool->free_capacity : 64;
        Free *frees = PyMem_Realloc(pool->frees, capacity * sizeof(Free));
        if (frees == NULL)
            return PyErr_NoMemory(), -1;
        pool->frees = frees;
        pool->free_capacity = capacity;
    }
    Block *own = &pool->blocks[block];
    int32_t position = first_free(pool, own->size, own->address);
    memmove(pool->frees + position + 1, pool->frees + position, (pool->free_count - position) * sizeof(Free));
    pool->frees[position] = (Free){own->size, own->address, block};
    pool->free_count++;
    own->is_free = 1;
    return 0;
}

/* What the pool does */

static int tell_device(Pool *pool, const char *method, PyObject *bytes)
{
    if (pool->device == NULL || pool->device == Py_None)
        return 0;
    PyObject *device = Py_NewRef(pool->device);
    PyObject *answer = bytes ? PyObject_CallMethod(device, method, "O", bytes) : PyObject_CallMethod(device, method, NULL);
    Py_DECREF(device);
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

static int32_t new_segment(Pool *pool, int64_t size)
{
    int64_t segment = pool->is_small                   ? SMALL_SEGMENT_BYTES
                      : size < LARGE_REQUEST_MIN_BYTES ? LARGE_SEGMENT_BYTES
                                                       : rounded(size, LARGE_ROUND_BYTES);
    PyObject *bytes = PyLong_FromLongLong(segment);
    int told = bytes ? tell_device(pool, "before_segment", bytes) : -1;
    Py_XDECREF(bytes);
    if (told < 0)
        return NONE;
    int64_t address = pool->next_address;
    pool->next_address += segment + MIN_BLOCK_BYTES;
    pool->reserved_bytes += segment;
    if (pool->reserved_bytes > pool->peak_reserved_bytes)
        pool->peak_reserved_bytes = pool->reserved_bytes;
    return new_block(pool, address, segment);
}

static int empty_cache(Pool *pool)
{
    for (int32_t position = pool->free_count - 1; position >= 0; position--) {
        int32_t block = pool->frees[position].block;
        if (pool->blocks[block].before == NONE && pool->blocks[block].after == NONE) {
            pool->reserved_bytes -= pool->blocks[block].size;
            take_free(pool, position);
            drop_block(pool, block);
        }
    }
    return tell_device(pool, "emptied", NULL);
}

/* Returns the block, or NONE with an exception. */
static int32_t allocate(Pool *pool, int64_t size)
{
    int32_t position = first_free(pool, size, 0), block;
    if (position < pool->free_count) {
        block = pool->frees[position].block;
        take_free(pool, position);
    } else {
        block = new_segment(pool, size);
        if (block == NONE)
            return NONE;
    }
    if (pool->blocks[block].size == SMALL_SEGMENT_BYTES)
        pool->held_bytes += SMALL_SEGMENT_BYTES;
    int64_t rest = pool->blocks[block].size - size;
    if (pool->is_small ? rest >= MIN_BLOCK_BYTES : rest > SMALL_REQUEST_MAX_BYTES) {
        int32_t split = new_block(pool, pool->blocks[block].address + size, rest);
        if (split == NONE)
            return NONE;
        Block *own = &pool->blocks[block], *other = &pool->blocks[split];
        own->size = size;
        other->before = block;
        other->after = own->after;
        own->after = split;
        if (other->after != NONE)
            pool->blocks[other->after].before = split;
        if (add_free(pool, split) < 0)
            return NONE;
    }
    pool->allocated_bytes += pool->blocks[block].size;
    return block;
}

/* Joins a block with the one after it. */
static void join(Pool *pool, int32_t block)
{
    int32_t other = pool->blocks[block].after, next = pool->blocks[other].after;
    pool->blocks[block].size += pool->blocks[other].size;
    pool->blocks[block].after = next;
    if (next != NONE)
        pool->blocks[next].before = block;
    drop_block(pool, other);
}

static int free_at(Pool *pool, int64_t address)
{
    int32_t block = pool->count ? pool->table[place_of(pool, address)] : NONE;
    if (block == NONE || pool->blocks[block].is_free) {
        PyErr_Format(PyExc_KeyError, "%lld", (long long)address);
        return -1;
    }
    pool->allocated_bytes -= pool->blocks[block].size;
    int32_t before = pool->blocks[block].before, after = pool->blocks[block].after;
    if (after != NONE && pool->blocks[after].is_free) {
        take_free(pool, first_free(pool, pool->blocks[after].size, pool->blocks[after].address));
        join(pool, block);
    }
    if (before != NONE && pool->blocks[before].is_free) {
        take_free(pool, first_free(pool, pool->blocks[before].size, pool->blocks[before].address));
        join(pool, before);
        block = before;
    }
    if (pool->blocks[block].size == SMALL_SEGMENT_BYTES)
        pool->held_bytes -= SMALL_SEGMENT_BYTES;
    return add_free(pool, block);
}

static int play_event(Pool *pool, int64_t event, PyObject *addresses)
{
    if (event > 0) {
        int32_t block = allocate(pool, event);
        PyObject *address = block == NONE ? NULL : PyLong_FromLongLong(pool->blocks[block].address);
        int result = address ? PyList_Append(addresses, address) : -1;
        Py_XDECREF(address);
        return result;
    }
    if (event == 0)
        return empty_cache(pool);
    if (-1 - event >= PyList_GET_SIZE(addresses)) {
        PyErr_SetString(PyExc_IndexError, "what is freed has not been allocated");
        return -1;
    }
    PyObject *freed = PyList_GET_ITEM(addresses, (Py_ssize_t)(-1 - event));
    if (freed == Py_None)
        return 0;
    int64_t address = PyLong_AsLongLong(freed);
    return address == -1 && PyErr_Occurred() ? -1 : free_at(pool, address);
}

static int note_change(Pool *pool, Py_ssize_t event, int64_t bytes)
{
    PyObject *change = Py_BuildValue("(nL)", event, (long long)bytes);
    int result = change ? PyList_Append(pool->changes, change) : -1;
    Py_XDECREF(change);
    return result;
}

/* Its methods */

static PyObject *pool_play(Pool *pool, PyObject *arguments)
{
    PyObject *addresses, *levels = NULL;
    Py_buffer events;
    if (!PyArg_ParseTuple(arguments, "y*O!", &events, &PyList_Type, &addresses))
        return NULL;
    Py_ssize_t count = events.len / (Py_ssize_t)sizeof(int64_t);
    PyObject *changes = PyList_New(0);
    if (changes != NULL) {
        Py_XSETREF(pool->changes, changes);
        levels = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(int64_t));
    }
    for (Py_ssize_t number = 0; levels != NULL && number < count; number++) {
        int64_t event, before = pool->reserved_bytes;
        memcpy(&event, (const char *)events.buf + number * sizeof(int64_t), sizeof(int64_t));
        int failed = play_event(pool, event, addresses);
        if (!failed && (event == 0 || pool->reserved_bytes != before))
            failed = note_change(pool, number, pool->reserved_bytes - before);
        if (failed)
            Py_CLEAR(levels);
        else {
            int64_t level = pool->is_small ? pool->held_bytes : pool->allocated_bytes;
            memcpy(PyBytes_AS_STRING(levels) + number * sizeof(int64_t), &level, sizeof(int64_t));
        }
    }
    PyBuffer_Release(&events);
    return levels;
}

static PyObject *pool_malloc(Pool *pool, PyObject *size)
{
    int64_t bytes = PyLong_AsLongLong(size);
    if (bytes == -1 && PyErr_Occurred())
        return NULL;
    int32_t block = allocate(pool, rounded(bytes, MIN_BLOCK_BYTES));
    return block == NONE ? NULL : PyLong_FromLongLong(pool->blocks[block].address);
}

static PyObject *pool_free(Pool *pool, PyObject *address)
{
    int64_t place = PyLong_AsLongLong(address);
    if ((place == -1 && PyErr_Occurred()) || free_at(pool, place) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *pool_empty_cache(Pool *pool, PyObject *Py_UNUSED(none))
{
    if (empty_cache(pool) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static PyObject *pool_layout(Pool *pool, PyObject *Py_UNUSED(none))
{
    PyObject *layout = PyBytes_FromStringAndSize(NULL, (pool->count + pool->free_count + 1) * (Py_ssize_t)sizeof(int64_t));
    if (layout == NULL)
        return NULL;
    int64_t *next = (int64_t *)PyBytes_AS_STRING(layout);
    *next++ = pool->reserved_bytes;
    for (int32_t position = 0; position < pool->free_count; position++) {
        *next++ = pool->frees[position].size;
        *next++ = pool->frees[position].address;
    }
    int64_t *live = next;
    for (uint32_t place = 0; pool->table_bits && place < 1u << pool->table_bits; place++)
        if (pool->table[place] != NONE && !pool->blocks[pool->table[place]].is_free)
            *next++ = pool->blocks[pool->table[place]].address;
    qsort(live, next - live, sizeof(int64_t), by_value);
    return layout;
}

static void *copied(const void *source, size_t bytes)
{
    void *target = PyMem_Malloc(bytes);
    if (target == NULL)
        PyErr_NoMemory();
    else if (bytes)
        memcpy(target, source, bytes);
    return target;
}

static PyObject *pool_copy(Pool *pool, PyObject *Py_UNUSED(none))
{
    Pool *twin = (Pool *)PoolType.tp_alloc(&PoolType, 0);
    if (twin == NULL)
        return NULL;
    size_t begin = offsetof(Pool, is_small);
    memcpy((char *)twin + begin, (char *)pool + begin, sizeof(Pool) - begin);
    twin->device = twin->changes = NULL;
    twin->peak_reserved_bytes = pool->reserved_bytes;
    twin->changes = PyList_New(0);
    twin->blocks = copied(pool->blocks, pool->capacity * sizeof(Block));
    twin->table = copied(pool->table, 2 * pool->capacity * sizeof(int32_t));
    twin->frees = copied(pool->frees, pool->free_capacity * sizeof(Free));
    if (!twin->changes || !twin->blocks || !twin->table || !twin->frees)
        Py_CLEAR(twin);
    return (PyObject *)twin;
}

static int pool_init(Pool *pool, PyObject *arguments, PyObject *named)
{
    static char *names[] = {"is_small", NULL};
    int is_small;
    if (!PyArg_ParseTupleAndKeywords(arguments, named, "$p", names, &is_small))
        return -1;
    pool->is_small = (char)is_small;
    pool->next_address = LARGE_ROUND_BYTES;
    pool->unused = NONE;
    pool->changes = PyList_New(0);
    return pool->changes ? 0 : -1;
}

static int pool_traverse(Pool *pool, visitproc visit, void *arg)
{
    Py_VISIT(pool->device);
    Py_VISIT(pool->changes);
    return 0;
}

static int pool_clear(Pool *pool)
{
    Py_CLEAR(pool->device);
    Py_CLEAR(pool->changes);
    return 0;
}

static void pool_dealloc(Pool *pool)
{
    PyObject_GC_UnTrack(pool);
    pool_clear(pool);
    PyMem_Free(pool->blocks);
    PyMem_Free(pool->table);
    PyMem_Free(pool->frees);
    Py_TYPE(pool)->tp_free((PyObject *)pool);
}

static PyMethodDef pool_methods[] = {
    {"malloc", (PyCFunction)pool_malloc, METH_O, NULL},
    {"free", (PyCFunction)pool_free, METH_O, NULL},
    {"play", (PyCFunction)pool_play, METH_VARARGS, NULL},
    {"empty_cache", (PyCFunction)pool_empty_cache, METH_NOARGS, NULL},
    {"layout", (PyCFunction)pool_layout, METH_NOARGS, NULL},
    {"copy", (PyCFunction)pool_copy, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef pool_members[] = {
    {"is_small", T_BOOL, offsetof(Pool, is_small), READONLY, NULL},
    {"allocated_bytes", T_LONGLONG, offsetof(Pool, allocated_bytes), READONLY, NULL},
    {"reserved_bytes", T_LONGLONG, offsetof(Pool, reserved_bytes), READONLY, NULL},
    {"held_bytes", T_LONGLONG, offsetof(Pool, held_bytes), READONLY, NULL},
    {"peak_reserved_bytes", T_LONGLONG, offsetof(Pool, peak_reserved_bytes), READONLY, NULL},
    {"changes", T_OBJECT, offsetof(Pool, changes), READONLY, NULL},
    {"device", T_OBJECT, offsetof(Pool, device), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject PoolType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "ohlora_fixtures.planner._pool.Pool",
    .tp_basicsize = sizeof(Pool),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)pool_init,
    .tp_dealloc = (destructor)pool_dealloc,
    .tp_traverse = (traverseproc)pool_traverse,
    .tp_clear = (inquiry)pool_clear,
    .tp_methods = pool_methods,
    .tp_members = pool_members,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_pool", .m_size = -1};

PyMODINIT_FUNC PyInit__pool(void)
{
    PyObject *made = PyModule_Create(&module), *source = PyLong_FromUnsignedLong(SOURCE_CRC32);
    if (made != NULL && (source == NULL || PyModule_AddType(made, &PoolType) < 0 ||
                         PyModule_AddObjectRef(made, "SOURCE_CRC32", source) < 0))
        Py_CLEAR(made);
    Py_XDECREF(source);
    return made;
}
