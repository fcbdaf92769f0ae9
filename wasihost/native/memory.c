/* The guest's memory: where it is, views of it, and who gets to see it. It never moves, see `engine.py`, but grows. */
#include "door.h"

static int (*usual_refresh)(WitxGuest *guest); /* where no door provides the memory */

/* Read again where the memory is, and how large. */
static void measure(Door *door)
{
    door->base = engine.memory_data(door->store->context, door->memory.item);
    door->size = engine.memory_data_size(door->store->context, door->memory.item);
}

/* Make `view` one of the memory as it is now; -1 and an exception if that fails. */
static int refresh(Door *door)
{
    measure(door);
    if (door->view != NULL && PyObject_Size(door->view) == (Py_ssize_t)door->size)
        return 0;
    PyObject *view = store_view(door->store, door->base, door->size);
    if (view == NULL)
        return -1;
    Py_XDECREF(door->view);
    door->view = view;
    return 0;
}

/* -- as the stubs in C see it ------------------------------------------------------------------------------------- */

static int show(Door *door, WitxGuest *guest)
{
    if (guest->memory == NULL && (guest->memory = witx_memory_new((PyObject *)door->store)) == NULL)
        return -1;
    guest->base = door->base;
    guest->size = door->size;
    return 0;
}

/* `WitxGuest.refresh`: the memory may have grown, or has not been known until now. */
static int refresh_stubs(WitxGuest *guest)
{
    Door *door = guest->provider;
    if (!door->has_memory) {
        Py_XDECREF(PyObject_CallFunctionObjArgs(adapter.no_memory, NULL));
        return -1;
    }
    measure(door);
    return show(door, guest);
}

/* Let a stub in C have the memory from here; nothing for one that has it already. */
void door_provide(Door *door, WitxStub *stub)
{
    WitxGuest *guest = stub->guest;
    if (guest->provider == door)
        return;
    if (usual_refresh == NULL)
        usual_refresh = guest->refresh;
    witx_guest_forget(guest);
    guest->provider = door;
    guest->refresh = refresh_stubs;
}

/* It has none any more. */
void door_withdraw(Door *door, WitxStub *stub)
{
    WitxGuest *guest = stub->guest; /* NULL if the collector has cleared the stub before */
    if (guest == NULL || guest->provider != door)
        return;
    witx_guest_forget(guest);
    guest->provider = NULL;
    guest->refresh = usual_refresh;
}

/* -- as the State's `GuestView` has it ------------------------------------------------------------------------------
 */

/* Show `memory` to the stubs, as the guest's. */
int door_see(Door *door)
{
    door->has_memory = true;
    Py_CLEAR(door->view);
    if (refresh(door) < 0 || PyObject_SetAttrString(door->guest, "view", door->view) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < door->count; i++) {
        WitxGuest *guest = door->functions[i].stub == NULL ? NULL : door->functions[i].stub->guest;
        if (guest != NULL && guest->provider == door && show(door, guest) < 0)
            return -1;
    }
    return 0;
}

PyObject *door_bind(PyObject *self, PyObject *address)
{
    Door *door = (Door *)self;
    void *found = PyLong_AsVoidPtr(address);
    if (found == NULL)
        return NULL;
    memcpy(&door->memory, found, sizeof door->memory);
    if (door_see(door) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Called as the guest's `memory`: a view of it as it is now. */
PyObject *door_call(PyObject *self, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(options))
{
    Door *door = (Door *)self;
    PyObject *view;
    if (door->store == NULL)
        view = adapter.empty;
    else if (!door->has_memory)
        return PyObject_CallFunctionObjArgs(adapter.no_memory, NULL);
    else if (refresh(door) < 0)
        return NULL;
    else
        view = door->view;
    Py_INCREF(view);
    return view;
}
